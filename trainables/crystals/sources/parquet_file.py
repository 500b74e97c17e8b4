"""A Parquet file that is read in pieces and cannot fill the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.crystals.crystal import BadCrystal, one_line
from trainables.crystals.sources import gunzip
from trainables.crystals.sources.base import (
    SourceError,
    as_spelled,
    is_text,
    listed,
    no_column,
    readable,
    stem,
)
from trainables.crystals.sources.columns import called
from trainables.crystals.sources.pages import BadPage, largest_page

LARGEST_TEXT = 16 << 20  # bytes; as in `parsing`
_BATCH = 256  # rows in memory at once
_BATCH_BYTES = 64 << 20  # of these rows, as unpacked: a page may repeat one long text
_BUFFER = 1 << 20  # bytes of a column read at a time
_MOST_PARTS = 100_000  # row groups times columns, each of which takes some hundred bytes
_WIDTH = 8  # bytes of a number
_HARMLESS_ROWS = 1 << 20  # a larger number needs at least one byte each


class ParquetFile:
    """A Parquet file, its schema and its rows, some at a time.

    Raises:
        SourceError: the file is missing, broken or hostile.
    """

    unit: str | None = None

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.path = path
        self.name = name or stem(path)
        with self._opened() as file:
            self.schema: pa.Schema = file.schema_arrow
            self._rows: int = file.metadata.num_rows
        if self._rows > max(_HARMLESS_ROWS, path.stat().st_size):
            raise SourceError(
                f"{path}: it says that it has {self._rows} rows, which so small a file cannot hold"
            )
        odd = next((column for column in self.schema.names if not is_text(column)), None)
        if odd is not None:
            raise SourceError(f"{path}: column {one_line(ascii(odd), 60)} is no text; rename it")

    def named(self, wanted: str | None, usual: Sequence[str]) -> str | None:
        """The column that is wanted, else the first of the usual ones; None if there is none.

        Raises:
            SourceError: there is no such column.
        """
        columns = list(self.schema.names)
        if wanted is None:
            here = (name for one in usual for name in columns if called([name], [one]))
            return next(here, None)
        found = as_spelled(wanted, columns)
        if found is None:
            raise SourceError(f"{self.path}: {no_column(wanted, columns)}")
        return found

    def demanded(self, wanted: str | None, usual: Sequence[str], flag: str) -> str:
        """As `named`; it has to be there, and `flag` is how the user names it."""
        found = self.named(wanted, usual)
        if found is None:
            raise SourceError(
                f"{self.path}: no column {' or '.join(usual[:3])}; name it by {flag};"
                f" it has {listed(self.schema.names)}"
            )
        return found

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows of some columns, as many at a time as fit into memory.

        Raises:
            SourceError: the file is damaged.
        """
        wanted = list(dict.fromkeys(columns))
        if not self._rows:  # of which there are no pages
            return
        with self._opened() as file:
            yield from file.iter_batches(self._rows_at_once(file, wanted), columns=wanted)

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

    def demand(self, column: str, fits: Callable[[pa.DataType], bool], what: str) -> None:
        """Raises SourceError if a column is there twice, or holds no `what`."""
        if self.schema.names.count(column) > 1:
            raise SourceError(
                f"{self.path}: column {one_line(column, 60)!r} is there twice; rename one"
            )
        kind = self.schema.field(column).type
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
                    thrift_string_size_limit=LARGEST_TEXT,
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


def holds_text(kind: pa.DataType) -> bool:
    """Whether a column of this type has texts."""
    types, kind = pa.types, _plain(kind)
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def holds_numbers(kind: pa.DataType) -> bool:
    """Whether it has a number a row."""
    types, kind = pa.types, _plain(kind)
    return bool(
        types.is_floating(kind)
        or types.is_integer(kind)
        or types.is_boolean(kind)
        or types.is_decimal(kind)
    )


def holds_lists(kind: pa.DataType) -> bool:
    """Whether it has a list of numbers a row."""
    types = pa.types
    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(lists and holds_numbers(kind.value_type))


def numbers_of_list(cell: pa.Scalar, name: str) -> np.ndarray:
    """A list of numbers as float64; NaN for those that are missing.

    Raises:
        BadCrystal: the cell is empty.
    """
    if not cell.is_valid:
        raise BadCrystal(f"missing {name}: the cell is empty")
    return np.asarray(cell.values.to_numpy(zero_copy_only=False), dtype=np.float64)
