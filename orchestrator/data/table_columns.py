"""Reads column names and single columns of a data set that is a table."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.crystals.crystal import one_line
from trainables.crystals.sources.base import (
    SourceError,
    as_spelled,
    csv_rows,
    open_text,
    readable,
)
from trainables.crystals.sources.folder import TABLE
from trainables.crystals.sources.table import sniff_delimiter

if TYPE_CHECKING:
    import pyarrow as pa


def columns_of(path: Path) -> list[str]:
    """The names of a table's columns; none if the data set is no table.

    Raises:
        SourceError: the table cannot be read.
    """
    path = path / TABLE if path.is_dir() else path
    if _is_parquet(path):
        return list(_read_parquet(path, None).schema.names)
    return next(_csv(path), []) if _is_csv(path) else []


def column_of(path: Path, name: str) -> list[str]:
    """Reads the cells of a column, row by row; case in its name is ignored.

    Raises:
        SourceError: the table cannot be read.
    """
    path = path / TABLE if path.is_dir() else path
    header = columns_of(path)
    spelled = as_spelled(name, header)
    assert spelled is not None
    if header.count(spelled) > 1:
        raise SourceError(f"{path}: column {one_line(spelled, 60)!r} is there twice; rename one")
    if _is_parquet(path):
        cells = _read_parquet(path, spelled)[spelled].to_pylist()
        return ["" if cell is None else str(cell) for cell in cells]
    at = header.index(spelled)
    return [cells[at] if len(cells) == len(header) else "" for cells in islice(_csv(path), 1, None)]


def _is_parquet(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith((".parquet", ".pq"))


def _is_csv(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith((".csv", ".tsv"))


def _csv(path: Path) -> Iterator[list[str]]:
    """Yields the header, then the rows."""
    with readable(path), open_text(path) as file:
        delimiter = sniff_delimiter(file.readline())
    with readable(path), open_text(path) as file:
        rows = (cells for _, cells in csv_rows(file, path, delimiter) if cells)
        yield [cell.strip() for cell in next(rows, [])]
        yield from rows


def _read_parquet(path: Path, name: str | None) -> pa.Table:
    """Reads one column; without a name none, which still gives the schema."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if name is None:
            return pq.read_schema(path).empty_table()
        return pq.read_table(path, columns=[name])
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path}: cannot be read ({one_line(error)})") from None
