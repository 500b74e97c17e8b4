"""Crystals with planar-averaged potentials: Parquet, two files joined by id, databases of ASE.

Each yields entries whose target is the text of a `Potential`, checked against the cell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from trainables.crystals.crystal import BadCrystal, Entry, one_line
from trainables.crystals.sources import open_source
from trainables.crystals.sources.base import (
    ANY_COLUMN,
    LARGEST_WHOLE,
    Source,
    SourceError,
    file_digest,
)
from trainables.crystals.sources.cells import NUMBERS
from trainables.crystals.sources.ids import ID_COLUMNS, id_text
from trainables.crystals.sources.parquet import ParquetTable
from trainables.crystals.sources.parquet_file import (
    ParquetFile,
    holds_lists,
    holds_numbers,
    numbers_of_list,
)
from trainables.crystals.sources.potential_cells import (
    FERMI,
    POTENTIAL,
    VACUUM,
    Cells,
    Names,
    Z,
    bad_entry,
    with_potential,
)


class _Columns:
    """The columns of a Parquet file that make a potential."""

    def __init__(self, file: ParquetFile, names: Names, or_else: str = "") -> None:
        self.potential = file.demanded(names.potential, POTENTIAL, f"--potential{or_else}")
        self.fermi = file.demanded(names.fermi, FERMI, "--fermi")
        self.vacuum = file.named(names.vacuum, VACUUM)
        self.z = file.named(names.z, Z)
        file.demand(self.potential, holds_lists, "lists of numbers; name another by --potential")
        file.demand(self.fermi, holds_numbers, "numbers; name another by --fermi")
        if self.vacuum is not None:
            file.demand(self.vacuum, _holds_levels, "numbers; name another by --vacuum")
        if self.z is not None:
            file.demand(self.z, holds_lists, "lists of numbers; name another by --z")
        used = (self.potential, self.fermi, self.vacuum, self.z)
        self.names = [one for one in used if one is not None]

    def read(self, batch: pa.RecordBatch, at: int) -> Cells:
        """The cells of a row; raises BadCrystal if one that is needed is empty."""
        fermi = batch.column(self.fermi)[at].as_py()
        if fermi is None:
            raise BadCrystal(f"missing {self.fermi}: the cell is empty")
        vacuum = None if self.vacuum is None else batch.column(self.vacuum)[at].as_py()
        if vacuum is not None:
            cells = vacuum if isinstance(vacuum, list) else [vacuum]
            vacuum = [np.nan if one is None else float(one) for one in cells]
        return Cells(
            potential=numbers_of_list(batch.column(self.potential)[at], self.potential),
            fermi=float(fermi),
            vacuum=vacuum,
            z=None if self.z is None else numbers_of_list(batch.column(self.z)[at], self.z),
        )


def _holds_levels(kind: pa.DataType) -> bool:
    return holds_numbers(kind) or holds_lists(kind)


class PotentialTable(ParquetTable):
    """Streams a Parquet file with a structure and the cells of its potential a row.

    An entry's target is the text of its `Potential`.

    Raises:
        SourceError: the file is missing, broken or unsuitable.
    """

    unit = "eV"

    def __init__(self, path: Path, names: Names | None = None) -> None:
        super().__init__(path, ANY_COLUMN)
        elsewhere = ", or give --profiles if another file has the potentials"
        self._columns = _Columns(self, names or Names(), elsewhere)
        self.target_name = ",".join(self._columns.names)
        self._beside = self._columns.names

    def _completed(self, entry: Entry, batch: pa.RecordBatch, at: int) -> Entry:
        """The entry with the text of its `Potential` as the target; bad if it has none."""
        return with_potential(entry, partial(self._columns.read, batch, at))


class JoinedPotentials:
    """Crystals of one file with the potentials of another, joined by id.

    Args:
        path: structures in any form that is read.
        profiles: Parquet with a column of ids and those of a potential, which is held in memory.

    Raises:
        SourceError: a file is missing, broken or unsuitable, or an id has two profiles.
    """

    unit: str | None = "eV"
    cells = NUMBERS

    def __init__(self, path: Path, profiles: Path, names: Names | None = None) -> None:
        self._structures = open_source(path, ANY_COLUMN)
        self._file = ParquetFile(profiles)
        self._columns = _Columns(self._file, names or Names())
        self._id = self._file.demanded(None, ID_COLUMNS, "`id`")
        self.name = self._structures.name
        self.target_name = ",".join(self._columns.names)
        self._rows = self._read_ids()

    def digest(self) -> str:
        """SHA-256 (hex) of both files' bytes and the names of the columns."""
        both = self._structures.digest() + file_digest(self._file.path, self.target_name)
        return hashlib.sha256(both.encode()).hexdigest()

    def count(self) -> int | None:
        """Not known before all is read, as profiles may belong to nothing."""
        return None

    def entries(self) -> Iterator[Entry]:
        """Yields an entry per structure, and a bad one per profile of which there is no structure.

        Raises:
            SourceError: the profiles do not fit into memory.
        """
        cells = self._read_cells()
        left, count = dict(self._rows), 0
        for entry in self._structures.entries():
            count += 1
            left.pop(entry.id, None)
            if entry.id in self._rows:
                yield with_potential(entry, cells[self._rows[entry.id]])
            elif entry.format == "bad":
                yield entry
            else:
                yield bad_entry(entry, f"no profile of this id in {self._file.path.name}")
        for extra, (id, at) in enumerate(left.items()):
            origin = f"{self._file.path.name}:{at + 1}"
            yield Entry(count + extra, id, "bad", "profile of an unknown id", None, origin)

    def _read_ids(self) -> dict[str, int]:
        found: dict[str, int] = {}
        row = 0
        for batch in self._file.batches([self._id]):
            for value in batch.column(self._id).to_pylist():
                id = id_text(value)
                if id in found:
                    raise SourceError(
                        f"{self._file.path}: two profiles of id {one_line(id, 60)!r}, in rows"
                        f" {found[id] + 1} and {row + 1}; leave one"
                    )
                found[id] = row
                row += 1
        if not found:
            raise SourceError(f"{self._file.path}: it has no rows")
        return found

    def _read_cells(self) -> list[Callable[[], Cells]]:
        """What reads the cells of each row."""
        found: list[Callable[[], Cells]] = []
        held = 0
        for batch in self._file.batches(self._columns.names):
            for at in range(len(batch)):
                read = _Held.of(self._columns, batch, at)
                held += read.size
                found.append(read)
            if held > LARGEST_WHOLE:
                raise SourceError(
                    f"{self._file.path}: more than {LARGEST_WHOLE >> 20} MB of profiles; write them"
                    " beside their structures"
                )
        return found


@dataclass(frozen=True)
class _Held:
    """The cells of a row, or why there are none."""

    cells: Cells | None
    reason: str = ""

    @classmethod
    def of(cls, columns: _Columns, batch: pa.RecordBatch, at: int) -> _Held:
        try:
            read = columns.read(batch, at)
        except BadCrystal as bad:
            return cls(None, str(bad))
        z = None if read.z is None else read.z.copy()  # not a view of the whole batch
        return cls(replace(read, potential=read.potential.copy(), z=z))

    @property
    def size(self) -> int:
        return self.cells.size if self.cells else 0

    def __call__(self) -> Cells:
        if self.cells is None:
            raise BadCrystal(self.reason)
        return self.cells


def open_potentials(path: Path, profiles: Path | None = None, names: Names | None = None) -> Source:
    """The source of a file of crystals with potentials.

    Args:
        path: Parquet or a database of ASE; structures in any form if there are `profiles`.
        profiles: Parquet of potentials by id.
        names: of the columns.

    Raises:
        SourceError: one line; there is no such file, or it has no potentials.
    """
    if profiles is not None:
        if not profiles.name.lower().endswith((".parquet", ".pq")):
            raise SourceError(f"{profiles}: --profiles takes Parquet (.parquet)")
        return JoinedPotentials(path, profiles, names)
    name = path.name.lower()
    if name.endswith(".db"):
        from trainables.crystals.sources.potential_database import PotentialDatabase

        return PotentialDatabase(path, names)
    if name.endswith((".parquet", ".pq")):
        return PotentialTable(path, names)
    raise SourceError(
        f"{path}: potentials are read from .parquet and .db; give --profiles for those of other"
        " structures"
    )
