"""A Parquet file with pymatgen JSON, CIF or POSCAR texts in one of its columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trainables.crystals.crystal import Entry, one_line
from trainables.crystals.sources import gunzip
from trainables.crystals.sources.base import (
    ANY_COLUMN,
    ID_COLUMNS,
    PER_SITE,
    TENSOR,
    SourceError,
    choose_target,
    columns_of,
    file_digest,
    is_text,
    readable,
    stem,
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
from trainables.crystals.sources.pages import BadPage, largest_page
from trainables.crystals.targets import TENSORS

STRUCTURE_COLUMNS = {"structure": "json", "cif": "cif", "poscar": "poscar"}  # column: format
_BATCH = 256  # rows in memory at once
_BATCH_BYTES = 64 << 20  # of these rows, as unpacked: a page may repeat one long text
_LARGEST_TEXT = 16 << 20  # bytes; as in `parsing`
_BUFFER = 1 << 20  # bytes of a column read at a time
_MOST_PARTS = 100_000  # row groups times columns, each of which takes some hundred bytes
_WIDTH = 8  # bytes of a number
_HARMLESS_ROWS = 1 << 20  # a larger number needs at least one byte each


class ParquetTable:
    """Streams a Parquet file with a `structure` (JSON text), `cif` or `poscar` column.

    Raises:
        SourceError: the file is missing, broken or unsuitable.
    """

    unit: str | None = None

    def __init__(self, path: Path, target: str | None = None, name: str | None = None) -> None:
        self.path = path
        self.name = name or stem(path)
        with self._opened() as file:
            schema = file.schema_arrow
            self._rows = file.metadata.num_rows
        if self._rows > max(_HARMLESS_ROWS, path.stat().st_size):
            raise SourceError(
                f"{path}: it says that it has {self._rows} rows, which so small a file cannot hold"
            )
        columns = list(schema.names)
        odd = next((column for column in columns if not is_text(column)), None)
        if odd is not None:
            raise SourceError(f"{path}: column {one_line(ascii(odd), 60)} is no text; rename it")
        found = find_column(path, columns, STRUCTURE_COLUMNS)
        if found is None:
            raise lacks_structures(path, columns, "structure")
        self._structure = found
        self._demand(schema, found, _is_text, "text; store JSON texts")
        self._id_column = find_column(path, columns, ID_COLUMNS)
        if self._id_column is not None:
            self._demand(schema, self._id_column, _names_something, "names or numbers; rename it")
        other = called(columns, (*STRUCTURE_COLUMNS, *ID_COLUMNS))
        other |= set(filter(is_index, columns))
        left = [field for field in schema if field.name not in other]
        numeric = [field.name for field in left if _is_number(field.type)]
        lists = [field.name for field in left if is_list_of_numbers(field.type)]
        self.target_name = choose_target(path, columns, numeric or lists, target)
        self._wanted = target != ANY_COLUMN
        self._targets, _ = columns_of(self.target_name, columns)
        self.cells = NUMBERS
        if self._wanted:
            for name in self._targets:
                tensor = without_ending(self.target_name)[1] not in ("", PER_SITE)
                self._demand(
                    schema,
                    name,
                    _says_tensor if tensor else _says_target,
                    f"numbers; name another, or a tensor's kind, as {name}{TENSOR}{TENSORS[0]}",
                )
            self.cells = self._form(schema)

    def _form(self, schema: pa.Schema) -> Cells:
        kinds = [schema.field(name).type for name in self._targets]
        if len(kinds) == 1 and _is_number(kinds[0]):
            return NUMBERS
        sample = list(islice(self._cells(), SAMPLE))
        shown = [[cells[at] for cells in sample] for at in range(len(kinds))]
        every = partial(map, itemgetter(0), self._cells())
        return form_of(self.path, self.target_name, self._targets, shown, every)

    def _cells(self) -> Iterator[list[str]]:
        """The target's cells of all rows; no crystal is read."""
        with self._opened() as file:
            for batch in file.iter_batches(
                self._rows_at_once(file, self._targets), columns=self._targets
            ):
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
        wanted = [self._structure]
        wanted += self._targets if self._wanted else []
        wanted += [self._id_column] if self._id_column else []
        columns = list(dict.fromkeys(wanted))
        came, most = 0, max(gunzip.HARMLESS, gunzip.LARGEST_RATIO * self.path.stat().st_size)
        row = 0
        with self._opened() as file:
            for batch in file.iter_batches(self._rows_at_once(file, columns), columns=columns):
                for at in range(len(batch)):
                    entry = self._entry(batch, at, row)
                    came += len(entry.text) + len(entry.id) + len(entry.target or "")
                    if came > most:
                        raise SourceError(
                            f"{self.path}: its texts come to more than {gunzip.LARGEST_RATIO} times"
                            " the size of the file; write each crystal once"
                        )
                    yield entry
                    row += 1

    def _entry(self, batch: pa.RecordBatch, at: int, row: int) -> Entry:
        origin = f"{self.path.name}:{row + 1}"
        name = str(row + 1)
        if self._id_column:
            name = _id_text(batch.column(self._id_column)[at].as_py())
        target = None
        if self._wanted:
            target = [_target_text(batch.column(one)[at].as_py()) for one in self._targets]
        cell = batch.column(self._structure)[at]
        if isinstance(cell, pa.DictionaryScalar):
            cell = cell.value
        # before it becomes a Python string, which may be four times as large
        size = 0 if not cell.is_valid else cell.as_buffer().size
        if size > _LARGEST_TEXT:
            reason = f"text too large: more than {_LARGEST_TEXT >> 20} million characters"
            return Entry(row, name, "bad", reason, "", origin)
        try:
            text = cell.as_py() or ""
        except UnicodeDecodeError:
            return Entry(row, name, "bad", "broken text: it is not UTF-8", "", origin)
        form = STRUCTURE_COLUMNS[self._structure.strip().lower()]
        return self.cells.entry(row, name, form, text, target, origin)

    def _rows_at_once(self, file: pq.ParquetFile, columns: list[str]) -> int:
        """As many rows as fit into memory, even if each repeats what fills a page."""
        schema = file.metadata.schema
        # Arrow reads `a.b` together with `a`, whether it is nested or just has that name.
        leaves = [
            leaf
            for leaf in range(len(schema))
            if any(f"{schema.column(leaf).path}.".startswith(f"{name}.") for name in columns)
        ]
        with self.path.open("rb") as plain:
            page = largest_page(plain, file.metadata, leaves)
        row = max(page * len(leaves), self._bytes_of_lists(file.metadata, leaves))
        return max(1, min(_BATCH, _BATCH_BYTES // max(1, row)))

    def _bytes_of_lists(self, footer: pq.FileMetaData, leaves: list[int]) -> int:
        """Bytes of a row's numbers, on average of the longest; equal ones take no room in a page.

        Raises:
            SourceError: they are far larger than the file.
        """
        sizes = [
            (_WIDTH * sum(group.column(leaf).num_values for leaf in leaves), group.num_rows)
            for group in map(footer.row_group, range(footer.num_row_groups))
        ]
        whole = sum(size for size, _ in sizes)
        if whole > max(gunzip.HARMLESS, gunzip.LARGEST_RATIO * self.path.stat().st_size):
            raise SourceError(
                f"{self.path}: its numbers come to more than {gunzip.LARGEST_RATIO} times the size"
                " of the file; write shorter lists"
            )
        return max((size // max(1, rows) for size, rows in sizes), default=0)

    def _demand(
        self, schema: pa.Schema, column: str, fits: Callable[[pa.DataType], bool], what: str
    ) -> None:
        if schema.names.count(column) > 1:
            raise SourceError(
                f"{self.path}: column {one_line(column, 60)!r} is there twice; rename one"
            )
        kind = schema.field(column).type
        if not fits(kind):
            held = one_line(kind, 60)
            raise SourceError(
                f"{self.path}: column {one_line(column, 60)!r} holds {held}, no {what}"
            )

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        with readable(self.path):
            if not self.path.is_file():
                raise SourceError(f"{self.path}: no such file; check the path")
            try:
                with pq.ParquetFile(
                    self.path,
                    buffer_size=_BUFFER,
                    thrift_container_size_limit=_MOST_PARTS,
                    thrift_string_size_limit=_LARGEST_TEXT,
                ) as file:
                    yield file
            except BadPage as error:
                raise SourceError(f"{self.path}: {error}; write it again") from None
            except pa.ArrowException as error:
                reason = one_line(str(error).partition("\n")[0] or "no reason given")
                raise SourceError(
                    f"{self.path}: broken or not Parquet ({reason}); write it again"
                ) from None


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    types, kind = pa.types, _plain(kind)
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_number(kind: pa.DataType) -> bool:
    types, kind = pa.types, _plain(kind)
    return bool(
        types.is_floating(kind)
        or types.is_integer(kind)
        or types.is_boolean(kind)
        or types.is_decimal(kind)
    )


def _says_number(kind: pa.DataType) -> bool:
    return _is_number(kind) or _is_text(kind)


def is_list_of_numbers(kind: pa.DataType) -> bool:
    types = pa.types
    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(lists and _is_number(kind.value_type))


def _says_target(kind: pa.DataType) -> bool:
    return _says_number(kind) or is_list_of_numbers(kind)


def _says_tensor(kind: pa.DataType) -> bool:
    return _is_text(kind) or _is_nested(kind)


def _is_nested(kind: pa.DataType) -> bool:
    """Whether it is lists of numbers, or of such lists, as a matrix is stored."""
    types = pa.types
    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(lists and (_is_number(kind.value_type) or _is_nested(kind.value_type)))


def _names_something(kind: pa.DataType) -> bool:
    return _says_number(kind) or pa.types.is_null(kind)


def _id_text(value: object) -> str:
    return "" if value is None else str(value).strip()


def _target_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | list):
        return json.dumps(value, default=str)  # a decimal number is exact as text
    return str(value)
