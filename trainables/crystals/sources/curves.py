"""Files of crystals with curves: energies, and the densities on them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from trainables.crystals.crystal import BadCrystal, Entry
from trainables.crystals.densities import Curve
from trainables.crystals.sources.base import ANY_COLUMN, SourceError
from trainables.crystals.sources.columns import called
from trainables.crystals.sources.complete_dos import CompleteDosList
from trainables.crystals.sources.parquet import ParquetTable
from trainables.crystals.sources.parquet_file import holds_lists, numbers_of_list

# Names of columns, of which the first that occurs is taken.
ENERGIES = ("energy_ev", "energies", "energy", "frequencies", "frequency")
OF_SITES = ("site_dos", "ldos", "pdos")
OF_CRYSTALS = ("dos", "total_dos", "tdos", "phdos", "phonon_dos", "densities", "density")


class CurveTable(ParquetTable):
    """Streams a Parquet file with a structure, a list of energies and one of densities a row.

    An entry's target is the text of its `Curve`. Densities are those of all sites, one site after
    the other; or of the crystal. `curve_columns` are the names of the columns of both.

    Args:
        energies, densities: names of the columns; None for the first of the usual ones.
        per_site: whether the densities are those of sites; None for what the name says.

    Raises:
        SourceError: the file is missing, broken or unsuitable.
    """

    def __init__(
        self,
        path: Path,
        energies: str | None = None,
        densities: str | None = None,
        per_site: bool | None = None,
    ) -> None:
        super().__init__(path, ANY_COLUMN)
        self._energies = self.demanded(energies, ENERGIES, "--energies")
        self._densities = self.demanded(densities, OF_SITES + OF_CRYSTALS, "--densities")
        for column in (self._energies, self._densities):
            self.demand(column, holds_lists, "lists of numbers; name another")
        named = bool(called([self._densities], OF_SITES))
        self.per_site = named if per_site is None else per_site
        self.curve_columns = self._energies, self._densities
        self.target_name = f"{self._energies},{self._densities}"
        self._beside = [*self.curve_columns]

    def _completed(self, entry: Entry, batch: pa.RecordBatch, at: int) -> Entry:
        """The entry with the text of its `Curve` as the target; bad if it has none."""
        if entry.format == "bad":
            return entry
        try:
            energies, densities = (
                numbers_of_list(batch.column(name)[at], name)
                for name in (self._energies, self._densities)
            )
            text = Curve.of(energies, densities, per_site=self.per_site).text
        except BadCrystal as bad:
            return Entry(entry.row, entry.id, "bad", str(bad), None, entry.origin)
        return Entry(entry.row, entry.id, entry.format, entry.text, text, entry.origin)


CurveSource = CurveTable | CompleteDosList


def open_curves(path: Path, energies: str | None, densities: str | None) -> CurveSource:
    """Opens a file of crystals with curves, by its suffix.

    Args:
        energies, densities: names of the columns, or keys; None for the usual ones.

    Raises:
        SourceError: the file is missing, broken or unsuitable.
    """
    plain = path.name.lower().removesuffix(".gz")
    if plain.endswith(".json"):
        return CompleteDosList(path, energies, densities)
    if path.exists() and not plain.endswith((".parquet", ".pq")):
        raise SourceError(
            f"{path}: curves are read from a .parquet with a list of energies and one of densities"
            " a row, or from a .json list of pymatgen's CompleteDos; write one of them"
        )
    return CurveTable(path, energies, densities)
