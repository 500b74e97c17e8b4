"""Databases of ASE (.db) of monolayers, whose rows have planar-averaged potentials.

The potential, Fermi level and vacuum levels are values of `data` or of key_value_pairs. The profile
is a list of numbers in eV, or two columns, z in Å and the potential.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from trainables.crystals.crystal import BadCrystal, Entry
from trainables.crystals.sources.ase_data import AseData, data_of
from trainables.crystals.sources.ase_database import COLUMNS, AseDatabase, pairs_of, record_of
from trainables.crystals.sources.base import ANY_COLUMN, SourceError, listed
from trainables.crystals.sources.columns import SAMPLE
from trainables.crystals.sources.potential_cells import (
    FERMI,
    POTENTIAL,
    VACUUM,
    Cells,
    Names,
    Z,
    with_potential,
)
from trainables.crystals.sources.record_source import bad_record


class PotentialDatabase(AseDatabase):
    """Streams the rows of a .db file with their potentials.

    Raises:
        SourceError: it is no database of ASE, or none of its first rows has a potential.
    """

    columns: ClassVar[tuple[str, ...]] = (*COLUMNS, "data")
    unit = "eV"

    def __init__(self, path: Path, names: Names | None = None) -> None:
        super().__init__(path, ANY_COLUMN)
        own = names or Names()
        self._usual = {
            "potential": (own.potential,) if own.potential else POTENTIAL,
            "fermi": (own.fermi,) if own.fermi else FERMI,
            "vacuum": (own.vacuum,) if own.vacuum else VACUUM,
            "z": (own.z,) if own.z else Z,
        }
        self.target_name = f"potential:{own.text}"
        for what in ("potential", "fermi"):
            self._demand(what)

    def entries(self) -> Iterator[Entry]:
        """Yields one entry per row, whose target is the text of its `Potential`."""
        for place, row in enumerate(self.rows()):
            if isinstance(row, BadCrystal):
                yield self._entry(place, bad_record(str(row)))
            else:
                yield with_potential(self._entry(place, record_of(row)), partial(self._cells, row))

    def _cells(self, row: dict[str, Any]) -> Cells:
        data = _data(row)
        potential, z = _columns(self._numbers(data, "potential"))
        vacuum = data.agreed(self._usual["vacuum"])
        if z is None and (found := data.agreed(self._usual["z"])) is not None:
            z = found.ravel()
        return Cells(
            potential=potential,
            fermi=_single(self._numbers(data, "fermi")),
            vacuum=None if vacuum is None else vacuum.ravel().tolist(),
            z=z,
        )

    def _numbers(self, data: AseData, what: str) -> np.ndarray:
        found = data.agreed(self._usual[what])
        if found is None:
            raise BadCrystal(f"missing {self._usual[what][0]}: the row has no such value")
        return found

    def _demand(self, what: str) -> None:
        seen: dict[str, None] = {}
        for row in islice(self.rows(), SAMPLE):
            try:
                data = None if isinstance(row, BadCrystal) else _data(row)
            except BadCrystal:
                continue
            if data is not None and data.find(self._usual[what]) is not None:
                return
            seen |= dict.fromkeys(data.names() if data is not None else ())
        raise SourceError(
            f"{self.path}: no row has {' or '.join(self._usual[what][:3])}; name it by --{what},"
            f" one of {listed(list(seen))}"
        )


def _data(row: dict[str, Any]) -> AseData:
    pairs = pairs_of(row)
    return data_of(row["data"], pairs if isinstance(pairs, dict) else {})


def _columns(found: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Potential and z of a list of numbers, or of two columns or rows: z and potential."""
    if found.ndim == 1:
        return found, None
    if found.ndim == 2 and 2 in found.shape and found.shape != (2, 2):
        z, potential = found if found.shape[0] == 2 else found.T
        return potential, z
    raise BadCrystal(
        f"potential has another shape: {found.shape}, not one column, or z and the potential"
    )


def _single(found: np.ndarray) -> float:
    if found.size != 1:
        raise BadCrystal(f"Fermi level is no number: {found.size} numbers")
    return float(found.ravel()[0])
