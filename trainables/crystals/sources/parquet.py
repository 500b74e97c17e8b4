"""A Parquet file with pymatgen JSON, CIF or POSCAR texts in one of its columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path

import pyarrow as pa

from trainables.crystals.crystal import Entry
from trainables.crystals.sources import gunzip
from trainables.crystals.sources.base import (
    ANY_COLUMN,
    PER_SITE,
    TENSOR,
    SourceError,
    choose_target,
    columns_of,
    file_digest,
    without_ending,
)
from trainables.crystals.sources.cells import NUMBERS, Cells
from trainables.crystals.sources.columns import (
    SAMPLE,
    called,
    find_column,
    form_of,
    is_index,
    lacks_structures,
)
from trainables.crystals.sources.ids import ID_COLUMNS, first_id, id_columns
from trainables.crystals.sources.parquet_file import (
    LARGEST_TEXT,
    ParquetFile,
    holds_lists,
    holds_numbers,
    holds_text,
)
from trainables.crystals.targets import TENSORS

STRUCTURE_COLUMNS = {"structure": "json", "cif": "cif", "poscar": "poscar"}  # column: format


class ParquetTable(ParquetFile):
    """Streams a Parquet file with a `structure` (JSON text), `cif` or `poscar` column.

    Raises:
        SourceError: the file is missing, broken or unsuitable.
    """

    def __init__(self, path: Path, target: str | None = None, name: str | None = None) -> None:
        super().__init__(path, name)
        schema, columns = self.schema, list(self.schema.names)
        found = find_column(path, columns, STRUCTURE_COLUMNS)
        if found is None:
            raise lacks_structures(path, columns, "structure")
        self._structure = found
        self.demand(found, holds_text, "text; store JSON texts")
        self._ids = id_columns(path, columns)
        for column in self._ids:
            self.demand(column, _names_something, "names or numbers; rename it")
        other = called(columns, (*STRUCTURE_COLUMNS, *ID_COLUMNS))
        other |= set(filter(is_index, columns))
        left = [field for field in schema if field.name not in other]
        numeric = [field.name for field in left if holds_numbers(field.type)]
        lists = [field.name for field in left if holds_lists(field.type)]
        self.target_name = choose_target(path, columns, numeric or lists, target)
        self._wanted = target != ANY_COLUMN
        self._targets, _ = columns_of(self.target_name, columns)
        self._beside = self._targets if self._wanted else []  # columns beside structure and id
        self.cells = NUMBERS
        if self._wanted:
            for name in self._targets:
                tensor = without_ending(self.target_name)[1] not in ("", PER_SITE)
                self.demand(
                    name,
                    _says_tensor if tensor else _says_target,
                    f"numbers; name another, or a tensor's kind, as {name}{TENSOR}{TENSORS[0]}",
                )
            self.cells = self._form(schema)

    def _form(self, schema: pa.Schema) -> Cells:
        kinds = [schema.field(name).type for name in self._targets]
        if len(kinds) == 1 and holds_numbers(kinds[0]):
            return NUMBERS
        sample = list(islice(self._cells(), SAMPLE))
        shown = [[cells[at] for cells in sample] for at in range(len(kinds))]
        every = partial(map, itemgetter(0), self._cells())
        return form_of(self.path, self.target_name, self._targets, shown, every)

    def _cells(self) -> Iterator[list[str]]:
        """The target's cells of all rows; no crystal is read."""
        for batch in self.batches(self._targets):
            columns = [map(_target_text, column.to_pylist()) for column in batch]
            yield from map(list, zip(*columns, strict=True))

    def digest(self) -> str:
        """SHA-256 (hex) of the file's bytes and the target's name."""
        return file_digest(self.path, self.target_name)

    def count(self) -> int:
        """Number of rows, from the file's own metadata."""
        return self._rows

    def entries(self) -> Iterator[Entry]:
        """Yields one entry per row.

        Raises:
            SourceError: the file is damaged, or would take more memory than crystals do.
        """
        wanted = [self._structure, *self._beside, *self._ids]
        came, most = 0, max(gunzip.HARMLESS, gunzip.LARGEST_RATIO * self.path.stat().st_size)
        row = 0
        for batch in self.batches(wanted):
            for at in range(len(batch)):
                read = self._entry(batch, at, row)
                entry = self._completed(read, batch, at)
                came += len(read.text) + len(read.id) + len(entry.target or "")
                if came > most:
                    raise SourceError(
                        f"{self.path}: its texts come to more than {gunzip.LARGEST_RATIO} times"
                        " the size of the file; write each crystal once"
                    )
                yield entry
                row += 1

    def _completed(self, entry: Entry, batch: pa.RecordBatch, at: int) -> Entry:
        """The entry with what a kind of table reads from further columns."""
        return entry

    def _entry(self, batch: pa.RecordBatch, at: int, row: int) -> Entry:
        origin = f"{self.path.name}:{row + 1}"
        ids = (batch.column(column)[at].as_py() for column in self._ids)
        name = first_id(ids, str(row + 1))
        target = None
        if self._wanted:
            target = [_target_text(batch.column(one)[at].as_py()) for one in self._targets]
        cell = batch.column(self._structure)[at]
        if isinstance(cell, pa.DictionaryScalar):
            cell = cell.value
        # before it becomes a Python string, which may be four times as large
        size = 0 if not cell.is_valid else cell.as_buffer().size
        if size > LARGEST_TEXT:
            reason = f"text too large: more than {LARGEST_TEXT >> 20} million characters"
            return Entry(row, name, "bad", reason, "", origin)
        try:
            text = cell.as_py() or ""
        except UnicodeDecodeError:
            return Entry(row, name, "bad", "broken text: it is not UTF-8", "", origin)
        form = STRUCTURE_COLUMNS[self._structure.strip().lower()]
        return self.cells.entry(row, name, form, text, target, origin)


def _says_number(kind: pa.DataType) -> bool:
    return holds_numbers(kind) or holds_text(kind)


def _says_target(kind: pa.DataType) -> bool:
    return _says_number(kind) or holds_lists(kind)


def _says_tensor(kind: pa.DataType) -> bool:
    return holds_text(kind) or _is_nested(kind)


def _is_nested(kind: pa.DataType) -> bool:
    """Whether it is lists of numbers, or of such lists, as a matrix is stored."""
    types = pa.types
    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(lists and (holds_numbers(kind.value_type) or _is_nested(kind.value_type)))


def _names_something(kind: pa.DataType) -> bool:
    return _says_number(kind) or pa.types.is_null(kind)


def _target_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | list):
        return json.dumps(value, default=str)  # a decimal number is exact as text
    return str(value)
