"""A Parquet file of crystals with curves: energies, and the densities on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from trainables.crystals.crystal import BadCrystal, Entry
from trainables.crystals.densities import Curve
from trainables.crystals.sources.base import ANY_COLUMN, SourceError, as_spelled, no_column
from trainables.crystals.sources.columns import called
from trainables.crystals.sources.parquet import ParquetTable, is_list_of_numbers

# Names of columns, of which the first that occurs is taken.
ENERGIES = ("energy_ev", "energies", "energy", "frequencies", "frequency")
OF_SITES = ("site_dos", "ldos", "pdos")
OF_CRYSTALS = ("dos", "total_dos", "tdos", "phdos", "phonon_dos", "densities", "density")


class CurveTable(ParquetTable):
    """Streams a Parquet file with a structure, a list of energies and one of densities a row.

    Densities are those of all sites, one site after the other; or of the crystal. `curve_columns`
    are the names of the columns of both.

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
        with self._opened() as file:
            schema = file.schema_arrow
        self._energies = self._column(schema, energies, ENERGIES, "--energies")
        self._densities = self._column(schema, densities, OF_SITES + OF_CRYSTALS, "--densities")
        named = bool(called([self._densities], OF_SITES))
        self.per_site = named if per_site is None else per_site
        self.curve_columns = self._energies, self._densities
        self.target_name = f"{self._energies},{self._densities}"

    def _column(
        self, schema: pa.Schema, wanted: str | None, usual: tuple[str, ...], flag: str
    ) -> str:
        columns = list(schema.names)
        if wanted is not None:
            found = as_spelled(wanted, columns)
            if found is None:
                raise SourceError(f"{self.path}: {no_column(wanted, columns)}")
        else:
            here = [name for one in usual for name in columns if called([name], [one])]
            if not here:
                raise SourceError(
                    f"{self.path}: no column {' or '.join(usual[:3])}; name it by {flag}"
                )
            found = here[0]
        self._demand(schema, found, is_list_of_numbers, "lists of numbers; name another")
        return found

    def entries(self) -> Iterator[Entry]:
        """Yields one entry per row, whose target is the text of its `Curve`."""
        columns = [self._structure, self._energies, self._densities]
        columns += [self._id_column] if self._id_column else []
        row = 0
        with self._opened() as file:
            rows = self._rows_at_once(file, columns)
            for batch in file.iter_batches(rows, columns=list(dict.fromkeys(columns))):
                for at in range(len(batch)):
                    yield self._with_curve(self._entry(batch, at, row), batch, at)
                    row += 1

    def _with_curve(self, entry: Entry, batch: pa.RecordBatch, at: int) -> Entry:
        if entry.format == "bad":
            return entry
        try:
            energies, densities = (
                _numbers(batch.column(name)[at], name) for name in (self._energies, self._densities)
            )
            text = Curve.of(energies, densities, per_site=self.per_site).text
        except BadCrystal as bad:
            return Entry(entry.row, entry.id, "bad", str(bad), None, entry.origin)
        return Entry(entry.row, entry.id, entry.format, entry.text, text, entry.origin)


def _numbers(cell: pa.Scalar, name: str) -> np.ndarray:
    """A list of numbers as float64; NaN for those that are missing."""
    if not cell.is_valid:
        raise BadCrystal(f"missing {name}: the cell is empty")
    return np.asarray(cell.values.to_numpy(zero_copy_only=False), dtype=np.float64)
