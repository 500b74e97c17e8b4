"""A CSV (plain or gzipped) with the structures as CIF or POSCAR text in one of its columns.

Or with the paths of structure files, which lie in the folder of the CSV or below it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path

from trainables.crystals.crystal import Entry
from trainables.crystals.sources.base import (
    ANY_COLUMN,
    SourceError,
    columns_of,
    csv_rows,
    file_digest,
    open_text,
    readable,
    stem,
)
from trainables.crystals.sources.cells import NUMBERS
from trainables.crystals.sources.columns import (
    FORMULA_COLUMNS,
    SAMPLE,
    called,
    find_column,
    find_target,
    form_of,
    lacks_structures,
)
from trainables.crystals.sources.ids import ID_COLUMNS, first_id, id_columns, why_no_id
from trainables.crystals.sources.structure_files import StructureFiles, format_of

STRUCTURE_COLUMNS = {"cif": "cif", "poscar": "poscar", "structure": "json"}  # column: format
PATH_COLUMNS = ("path", "file", "filename", "structure_path", "structure_file", "cif_path")
DELIMITERS = ("\t", ";", ",")
_QUOTED = re.compile(r'"[^"]*("|$)')
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # Excel's first line


class CsvTable:
    """Streams a CSV with a `cif` (or `poscar`, or pymatgen JSON `structure`) column, or a `path`.

    Delimiter `,` `;` or tab, BOM and Windows line ends are accepted, and decimal commas with
    semicolons or tabs. Without an id a crystal is called by its structure file or its row.

    Args:
        follow_links: whether structure files may be links that lead out of the CSV's folder.

    Raises:
        SourceError: the file is unsuitable.
    """

    unit: str | None = None

    def __init__(
        self,
        path: Path,
        target: str | None = None,
        name: str | None = None,
        *,
        follow_links: bool = False,
    ) -> None:
        self.path = path
        self.name = name or stem(path)
        rows = table_rows(path)
        self._header = [cell.strip() for cell in next(rows, (0, []))[1]]
        found = find_column(path, self._header, STRUCTURE_COLUMNS)
        paths = None if found else find_column(path, self._header, PATH_COLUMNS)
        if found is None and paths is None:
            raise lacks_structures(path, self._header, "cif or path")
        self._structure = found or paths or ""
        files = StructureFiles(path.parent, follow_links=follow_links)
        self._files = None if paths is None else files
        self._ids = [self._header.index(name) for name in id_columns(path, self._header)]
        sample = [cells for _, cells in islice(rows, SAMPLE) if len(cells) == len(self._header)]
        known = (*STRUCTURE_COLUMNS, *PATH_COLUMNS, *ID_COLUMNS, *FORMULA_COLUMNS)
        other = called(self._header, known)
        self.target_name = find_target(path, self._header, sample, target, other=other)
        self._wanted = target != ANY_COLUMN
        names, _ = columns_of(self.target_name, self._header)
        self._target_at = [self._header.index(name) for name in names]
        self.cells = NUMBERS
        if self._wanted:
            shown = [[cells[at] for cells in sample] for at in self._target_at]
            delimiter = delimiter_of(path)
            self.cells = form_of(path, self.target_name, names, shown, self._targets, delimiter)

    def digest(self) -> str:
        """SHA-256 (hex) of the file's bytes and the target's name; also of all files it names."""
        own = file_digest(self.path, self.target_name)
        if self._files is None:
            return own
        digest, at = hashlib.sha256(own.encode()), self._header.index(self._structure)
        for _, cells in islice(table_rows(self.path), 1, None):
            digest.update(self._files.digest(cells[at].strip() if at < len(cells) else ""))
        return digest.hexdigest()

    def count(self) -> int:
        """Number of rows below the header; reads the file through once."""
        return self._count

    @cached_property
    def _count(self) -> int:
        return sum(1 for _ in table_rows(self.path)) - 1

    def entries(self) -> Iterator[Entry]:
        """Yields one entry per row.

        Raises:
            SourceError: the file turns out to be broken midway.
        """
        text_at = self._header.index(self._structure)
        form = STRUCTURE_COLUMNS.get(self._structure.lower(), "")
        for row, (_, cells) in enumerate(islice(table_rows(self.path), 1, None)):
            origin = f"{self.path.name}:{row + 1}"
            if len(cells) != len(self._header):
                reason = f"broken row: {len(cells)} cells, but {len(self._header)} columns"
                yield Entry(row, f"row {row + 1}", "bad", reason, "", origin)
                continue
            text = cells[text_at]
            file_name = "" if self._files is None or why_no_id(text.strip()) else text.strip()
            name = first_id([*(cells[at] for at in self._ids), file_name], str(row + 1))
            target = [cells[at] for at in self._target_at] if self._wanted else None
            if self._files is not None:
                file, reason = self._files.find(text.strip())
                if file is None:
                    yield Entry(row, name, "bad", reason, None if target is None else "", origin)
                    continue
                form, text = format_of(file), self._files.read(file)
            yield self.cells.entry(row, name, form, text, target, origin)

    def _targets(self) -> Iterator[str]:
        """All cells of the target's first column."""
        (at, *_) = self._target_at
        for _, cells in islice(table_rows(self.path), 1, None):
            if len(cells) == len(self._header):
                yield cells[at]


def table_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number of the last line, and cells, of each non-empty row of a CSV.

    Raises:
        SourceError: the file cannot be read, or is no CSV.
    """
    delimiter, skipped = _layout(path)
    with readable(path), open_text(path) as file:
        for _ in range(skipped):
            file.readline()
        for line, cells in csv_rows(file, path, delimiter, strict=True):
            if cells:
                yield line + skipped, cells


def delimiter_of(path: Path) -> str:
    """The delimiter of a CSV, by its first line; raises SourceError."""
    return _layout(path)[0]


def _layout(path: Path) -> tuple[str, int]:
    """The delimiter, and the number of lines before the table: Excel's `sep=;` is one."""
    with readable(path), open_text(path) as file:
        blank = 0
        while (first := file.readline()) and not first.strip():
            blank += 1
    if "\0" in first:
        raise SourceError(f"{path}: line 1 holds zero bytes, so it is no UTF-8; save it as UTF-8")
    told = _SEPARATOR_LINE.fullmatch(first)
    return (told[1], blank + 1) if told else (sniff_delimiter(first), 0)


def sniff_delimiter(line: str) -> str:
    """The most frequent of tab `;` and `,` in a line, outside quotes; comma if there is none.

    A semicolon has precedence over as many commas, which are decimal then.
    """
    bare = _QUOTED.sub("", line)
    return max(DELIMITERS, key=bare.count) if any(map(bare.count, DELIMITERS)) else ","
