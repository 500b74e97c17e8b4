"""Databases of ASE (.db): SQLite, read row by row and never written to.

The file counts as unchanging, so that SQLite leaves no file of its own beside it. Only a plain
table is read: a view, a virtual table or a generated column would run what the file says. `data` is
not read here. The columns are key_value_pairs, and what a calculator found.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from trainables.crystals.crystal import BadCrystal, one_line
from trainables.crystals.sources.ase_structure import (
    cells_of,
    demand_few,
    numbers_of,
    structure_text,
    symbols_of,
)
from trainables.crystals.sources.base import SourceError, readable
from trainables.crystals.sources.record_source import Record, RecordSource, bad_record
from trainables.crystals.sources.structure_files import LARGEST_FILE

TABLE = "systems"
_MAGIC = b"SQLite format 3\0"
_NUMBERS = ("energy", "free_energy", "magmom")
COLUMNS = ("id", "numbers", "positions", "cell", "pbc", "key_value_pairs", *_NUMBERS)
_UNFINISHED = ("-wal", "-journal")  # what SQLite has beside a file that is being written


class AseDatabase(RecordSource):
    """Streams the rows of a .db file, in order of their ids."""

    columns: ClassVar[tuple[str, ...]] = COLUMNS

    def records(self) -> Iterator[Record]:
        """Yields a record for each row; see `rows`."""
        for row in self.rows():
            yield bad_record(str(row)) if isinstance(row, BadCrystal) else record_of(row)

    def rows(self) -> Iterator[dict[str, Any] | BadCrystal]:
        """Yields the columns of each row, or why it cannot be read.

        Raises:
            SourceError: the file is no database of ASE, is being written, or is damaged.
        """
        with self._opened() as database:
            last = None
            for (row,) in database.execute(f"SELECT rowid FROM {TABLE} NOT INDEXED ORDER BY rowid"):
                if last is not None and row <= last:  # a page that is named often has no end
                    raise SourceError(f"{self.path}: broken database: row {row} is there twice")
                last = row
                try:
                    found: dict[str, Any] | BadCrystal = self._row(database, row)
                except BadCrystal as bad:
                    found = bad
                yield found

    def _row(self, database: sqlite3.Connection, row: int) -> dict[str, Any]:
        """A row alone, as one that is damaged or too large ends the statement that reads it."""
        names = ", ".join(self.columns)
        try:
            asked = f"SELECT {names} FROM {TABLE} WHERE rowid = ?"
            found = database.execute(asked, (row,)).fetchone()
        except sqlite3.DataError:
            raise BadCrystal(
                f"row too large: a value of more than {LARGEST_FILE >> 20} MB"
            ) from None
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise BadCrystal(f"broken row: {one_line(error)}") from None
        if found is None:
            raise BadCrystal("broken row: the database lists it and does not have it")
        return dict(zip(self.columns, found, strict=True))

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with readable(self.path):
            path = self.path.resolve()
            with path.open("rb") as file:
                if file.read(len(_MAGIC)) != _MAGIC:
                    raise SourceError(f"{self.path}: no SQLite database, as those of ASE are")
            for ending in _UNFINISHED:
                beside = Path(f"{path}{ending}")
                if beside.exists() and beside.stat().st_size:
                    raise SourceError(
                        f"{self.path}: {beside.name} beside it says that it is being written, or"
                        f" was not closed; wait, or open it once by `ase db {path.name}`"
                    )
        address = f"{path.as_uri()}?mode=ro&immutable=1"
        try:
            with closing(sqlite3.connect(address, uri=True)) as database:
                self._demand_harmless(database)
                yield database
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise SourceError(
                f"{self.path}: broken database ({one_line(error)}); write or fetch it again"
            ) from None

    def _demand_harmless(self, database: sqlite3.Connection) -> None:
        """Limits what the file can make SQLite do, and refuses one that is not of ASE.

        `table_info` leaves generated columns out.
        """
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA cell_size_check = ON")
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_FILE)
        found = database.execute(
            "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (TABLE,)
        ).fetchone()
        if found is None or not str(found[0]).upper().startswith("CREATE TABLE"):
            raise SourceError(f"{self.path}: no database of ASE: it has no table {TABLE!r}")
        columns = {row[1] for row in database.execute(f"PRAGMA table_info({TABLE})")}
        if missing := [name for name in self.columns if name not in columns]:
            raise SourceError(
                f"{self.path}: its table {TABLE!r} lacks {', '.join(missing)}; bring it up to date"
                " by `python -m ase.db.convert`"
            )


def record_of(row: dict[str, Any]) -> Record:
    """The record of a row; a bad one if it is damaged."""
    try:
        return _record(row)
    except BadCrystal as bad:
        return bad_record(str(bad))


def _record(row: dict[str, Any]) -> Record:
    numbers = _array(row["numbers"], np.dtype("<i4"), "atomic numbers")
    demand_few(len(numbers))
    positions = _array(row["positions"], np.dtype("<f8"), "positions")
    cell = np.zeros(9)
    if row["cell"] is not None:
        cell = numbers_of(_array(row["cell"], np.dtype("<f8"), "cell"), (9,), "cell vectors")
    if len(positions) != 3 * len(numbers):
        raise BadCrystal(
            f"broken row: {len(positions)} coordinates of {len(numbers)} atoms are not three each"
        )
    periodic = row["pbc"]
    if not isinstance(periodic, int):
        raise BadCrystal(f"broken row: its pbc is {one_line(periodic, 30)!r}")
    structure = partial(
        structure_text,
        symbols_of(numbers.tolist()),
        positions.reshape(-1, 3).tolist(),
        cell.reshape(3, 3).tolist(),
        [bool(periodic & bit) for bit in (1, 2, 4)],
    )
    found = {name: row[name] for name in _NUMBERS if isinstance(row[name], float)}
    return Record(_pairs(row) | cells_of(found) | {"id": str(row["id"])}, structure)


def _array(value: object, kind: np.dtype[Any], what: str) -> NDArray[Any]:
    if not isinstance(value, bytes) or len(value) % kind.itemsize:
        raise BadCrystal(f"broken row: its {what} are no array of {kind.name}")
    return np.frombuffer(value, kind)


def _pairs(row: dict[str, Any]) -> dict[str, str]:
    """The key_value_pairs as cells."""
    return cells_of(pairs_of(row))


def pairs_of(row: dict[str, Any]) -> object:
    """The key_value_pairs as JSON has them; raises BadCrystal if they are none."""
    try:
        return json.loads(row["key_value_pairs"] or "{}")
    except (TypeError, ValueError, RecursionError) as error:
        raise BadCrystal(f"broken row: key_value_pairs are no JSON ({one_line(error)})") from None
