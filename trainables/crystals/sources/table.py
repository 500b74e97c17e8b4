"""A CSV (plain or gzipped) with the structures as CIF or POSCAR text in one of its columns."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path

from trainables.crystals.crystal import Entry
from trainables.crystals.sources.base import (
    ID_COLUMNS,
    SourceError,
    choose_target,
    csv_rows,
    file_digest,
    is_numeric,
    lacks_structures,
    open_text,
    readable,
    stem,
)

STRUCTURE_COLUMNS = {"cif": "cif", "poscar": "poscar", "structure": "json"}  # column: format
_SAMPLE = 200  # rows looked at to tell the numeric columns


class CsvTable:
    """Streams a CSV with a `cif` (or `poscar`, or pymatgen JSON `structure`) column.

    Delimiter `,` `;` or tab, BOM and Windows line ends are fine. The id column is material_id,
    id or mbid, else the row's number.

    Raises:
        SourceError: built on an unsuitable file.
    """

    unit: str | None = None

    def __init__(self, path: Path, target: str | None = None, name: str | None = None) -> None:
        self.path = path
        self.name = name or stem(path)
        with readable(path), open_text(path) as file:
            self._delimiter = sniff_delimiter(file.readline())
        rows = self._rows()
        self._header = [cell.strip() for cell in next(rows, [])]
        found = [column for column in STRUCTURE_COLUMNS if column in self._header]
        if not found:
            raise lacks_structures(path, self._header, "cif")
        self._structure = found[0]
        self._id_column = next((c for c in ID_COLUMNS if c in self._header), None)
        self.target_name = choose_target(path, self._header, self._numeric(rows), target)
        if self._header.count(self.target_name) > 1:
            raise SourceError(f"{path}: column {self.target_name!r} is there twice; rename one")

    def digest(self) -> str:
        """SHA-256 (hex) of the file's bytes and the target's name."""
        return file_digest(self.path, self.target_name)

    def count(self) -> int:
        """Number of rows below the header; reads the file through once."""
        return self._count

    @cached_property
    def _count(self) -> int:
        return sum(1 for row in self._rows() if row) - 1

    def entries(self) -> Iterator[Entry]:
        """One entry a row.

        Raises:
            SourceError: the file breaks midway.
        """
        text_at = self._header.index(self._structure)
        target_at = self._header.index(self.target_name)
        id_at = None if self._id_column is None else self._header.index(self._id_column)
        data = (cells for cells in islice(self._rows(), 1, None) if cells)
        for row, cells in enumerate(data):
            origin = f"{self.path.name}:{row + 1}"
            if len(cells) != len(self._header):
                reason = f"broken row: {len(cells)} cells, but {len(self._header)} columns"
                yield Entry(row, f"row {row + 1}", "bad", reason, "", origin)
                continue
            name = str(row + 1) if id_at is None else cells[id_at].strip()
            form = STRUCTURE_COLUMNS[self._structure]
            yield Entry(row, name, form, cells[text_at], cells[target_at], origin)

    def _rows(self) -> Iterator[list[str]]:
        with readable(self.path), open_text(self.path) as file:
            for _, cells in csv_rows(file, self.path, self._delimiter, strict=True):
                yield cells

    def _numeric(self, rows: Iterator[list[str]]) -> list[str]:
        sample = [r for r in islice(rows, _SAMPLE) if len(r) == len(self._header)]
        skip = {*STRUCTURE_COLUMNS, *ID_COLUMNS, "formula", "composition", ""}
        return [
            column
            for at, column in enumerate(self._header)
            if column not in skip and is_numeric(cells[at] for cells in sample)
        ]


def sniff_delimiter(line: str) -> str:
    """The one of `,` `;` and tab that a line holds most of; comma if none."""
    return max((",", ";", "\t"), key=line.count)
