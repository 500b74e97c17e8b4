"""A Parquet file with pymatgen JSON (or CIF, or POSCAR) texts in one of its columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trainables.crystals.crystal import Entry
from trainables.crystals.sources.base import (
    ID_COLUMNS,
    SourceError,
    choose_target,
    file_digest,
    lacks_structures,
    readable,
    stem,
)

STRUCTURE_COLUMNS = {"structure": "json", "cif": "cif", "poscar": "poscar"}  # column: format
_BATCH = 256  # rows in memory at once


class ParquetTable:
    """Streams a Parquet file with a `structure` (JSON text), `cif` or `poscar` column.

    Raises:
        SourceError: built on a missing, broken or unsuitable file.
    """

    unit: str | None = None

    def __init__(self, path: Path, target: str | None = None, name: str | None = None) -> None:
        self.path = path
        self.name = name or stem(path)
        with self._opened() as file:
            schema = file.schema_arrow
            self._rows = file.metadata.num_rows
        columns = list(schema.names)
        found = [column for column in STRUCTURE_COLUMNS if column in columns]
        if not found:
            raise lacks_structures(path, columns, "structure")
        self._structure = found[0]
        if not _is_text(schema.field(self._structure).type):
            raise SourceError(f"{path}: column {self._structure!r} holds no text; store JSON texts")
        self._id_column = next((c for c in ID_COLUMNS if c in columns), None)
        skip = {*STRUCTURE_COLUMNS, *ID_COLUMNS}
        numeric = [f.name for f in schema if f.name not in skip and _is_number(f.type)]
        self.target_name = choose_target(path, columns, numeric, target)

    def digest(self) -> str:
        """SHA-256 (hex) of the file's bytes and the target's name."""
        return file_digest(self.path, self.target_name)

    def count(self) -> int:
        """Number of rows, from the file's own metadata."""
        return self._rows

    def entries(self) -> Iterator[Entry]:
        """One entry a row.

        Raises:
            SourceError: the file is damaged.
        """
        form = STRUCTURE_COLUMNS[self._structure]
        wanted = [self._structure, self.target_name]
        wanted += [self._id_column] if self._id_column else []
        row = 0
        with self._opened() as file:
            for batch in file.iter_batches(batch_size=_BATCH, columns=list(dict.fromkeys(wanted))):
                texts = batch.column(self._structure).to_pylist()
                targets = batch.column(self.target_name).to_pylist()
                ids = batch.column(self._id_column).to_pylist() if self._id_column else None
                for at, (text, target) in enumerate(zip(texts, targets, strict=True)):
                    name = str(row + 1) if ids is None else _id_text(ids[at])
                    origin = f"{self.path.name}:{row + 1}"
                    yield Entry(row, name, form, text or "", _target_text(target), origin)
                    row += 1

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        with readable(self.path):
            if not self.path.is_file():
                raise SourceError(f"{self.path}: no such file; check the path")
            try:
                with pq.ParquetFile(self.path) as file:
                    yield file
            except pa.ArrowException as error:
                reason = str(error).splitlines()[0] if str(error) else "no reason given"
                raise SourceError(
                    f"{self.path}: broken or not Parquet ({reason}); write it again"
                ) from None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_floating(kind)
        or types.is_integer(kind)
        or types.is_boolean(kind)
        or types.is_decimal(kind)
    )


def _id_text(value: object) -> str:
    return "" if value is None else str(value).strip()


def _target_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return json.dumps(value)
    return str(value)
