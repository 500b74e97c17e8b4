"""A folder with `id_prop.csv` and one structure file per row, the layout of CGCNN and ALIGNN."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from trainables.crystals.crystal import Entry
from trainables.crystals.sources.base import (
    ANY_COLUMN,
    SourceError,
    columns_of,
    readable,
)
from trainables.crystals.sources.cells import NUMBERS
from trainables.crystals.sources.columns import SAMPLE, find_target, form_of
from trainables.crystals.sources.ids import ID_COLUMNS
from trainables.crystals.sources.structure_files import SUFFIXES, StructureFiles, format_of
from trainables.crystals.sources.table import delimiter_of, table_rows
from trainables.crystals.targets import is_missing, is_numeric

TABLE = "id_prop.csv"


class Folder:
    """Streams the structure files that `id_prop.csv` (id, target; header optional) lists.

    A file is looked up as ID itself, else as ID.cif, ID.vasp, ID.poscar, ID.json (in any case),
    POSCAR-ID and ID/POSCAR, of which only one may exist.
    If only crystals are requested (`ANY_COLUMN`), the table may have one column; without a
    table, all structure files of the folder are read, in the order of their names.

    Args:
        follow_links: whether structure files may be links that lead out of the folder.

    Raises:
        SourceError: the folder has no usable table.
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
        self.name = name or path.resolve().name
        self._files = StructureFiles(path, follow_links=follow_links)
        self._wanted = target != ANY_COLUMN
        self._table = path / TABLE
        self._bare = not self._table.is_file()
        self._has_header = False
        self._target_at: list[int] = []
        self.cells = NUMBERS
        if self._bare:
            self._read_listing()
        else:
            self._read_table(target)

    def digest(self) -> str:
        """SHA-256 (hex) of the table, of each listed file's name and bytes, and the target."""
        digest = hashlib.sha256()
        if not self._bare:
            with readable(self._table), self._table.open("rb") as table:
                while chunk := table.read(1 << 20):
                    digest.update(chunk)
        for cells in self._rows():
            digest.update(self._files.digest(cells[0].strip()))
        digest.update(b"\0" + self.target_name.encode())
        return digest.hexdigest()

    def count(self) -> int:
        """Number of rows in the table."""
        return self._count

    def entries(self) -> Iterator[Entry]:
        """Yields one entry per row of the table; a missing or forbidden file gives a `bad` entry.

        Raises:
            SourceError: the table turns out to be broken midway.
        """
        for row, cells in enumerate(self._rows()):
            name = cells[0].strip()
            wanted = self._targets_of(cells) if self._wanted else None
            file, reason = self._files.find(name)
            if file is None:
                table = f"{self.path.name}/{TABLE}" if not self._bare else self.path.name
                origin = f"{table}:{row + 1}"
                yield Entry(row, name, "bad", reason, None if wanted is None else "", origin)
                continue
            origin = f"{self.path.name}/{file.relative_to(self.path).as_posix()}"
            text = self._files.read(file)
            yield self.cells.entry(row, name, format_of(file), text, wanted, origin)

    def _targets_of(self, cells: list[str]) -> list[str]:
        """The target's cells of a row; a row may end early."""
        return [cells[at] if at < len(cells) else "" for at in self._target_at]

    def _rows(self) -> Iterator[list[str]]:
        """The rows of the table, or one for each structure file if there is no table."""
        if self._bare:
            yield from ([name] for name in self._listing)
            return
        filled = (cells for _, cells in table_rows(self._table) if any(c.strip() for c in cells))
        yield from islice(filled, int(self._has_header), None)

    def _read_listing(self) -> None:
        if self._wanted:
            raise SourceError(
                f"{self.path}: no {TABLE} in this folder; write one with lines ID,TARGET"
            )
        with readable(self.path):
            self._listing = sorted(filter(None, map(_as_structure, self.path.iterdir())))
        if not self._listing:
            raise SourceError(
                f"{self.path}: no structure files in this folder; they are called POSCAR…, or"
                f" …{', …'.join(SUFFIXES)}"
            )
        self._count, self.target_name = len(self._listing), ""

    def _read_table(self, target: str | None) -> None:
        """Reads through the table once, and keeps only its first rows."""
        sample: list[list[str]] = []
        width = rows = 0
        for cells in self._rows():
            rows, width = rows + 1, max(width, len(cells))
            if len(sample) <= SAMPLE:
                sample.append(cells)
        if not rows:
            raise SourceError(f"{self._table}: the table is empty; write lines ID,TARGET")
        if len(sample[0]) < 2 and self._wanted:
            raise SourceError(f"{self._table}: line 1 has one column; write lines ID,TARGET")
        header = self._header(sample[0], width)
        self._count = rows - self._has_header
        if len(header) == 1:
            self.target_name = ""
            return
        if not self._has_header and target == "target" and len(header) == 2:
            target = None
        data = [row[: len(header)] for row in sample[int(self._has_header) :]]
        filled = [row + [""] * (len(header) - len(row)) for row in data]
        self.target_name = find_target(
            self._table, header[1:], [row[1:] for row in filled], target, given=str(self.path)
        )
        names, _ = columns_of(self.target_name, header[1:])
        self._target_at = [header.index(name, 1) for name in names]
        if self._wanted:
            shown = [[row[at] for row in filled] for at in self._target_at]
            delimiter = delimiter_of(self._table)
            name = self.target_name
            self.cells = form_of(self._table, name, names, shown, self._first_targets, delimiter)

    def _first_targets(self) -> Iterator[str]:
        """All cells of the target's first column."""
        return (self._targets_of(cells)[0] for cells in self._rows())

    def _header(self, first: list[str], width: int) -> list[str]:
        """The names of the columns: the first row, unless a structure file has its id."""
        first = [cell.strip() for cell in first]
        named = not any(is_numeric([cell]) or is_missing(cell) for cell in first[1:])
        self._has_header = named and self._files.find(first[0])[0] is None
        if self._has_header and len(first) == 1:
            self._has_header = first[0].lower() in (*ID_COLUMNS, "name", "file")
        if self._has_header:
            return first
        return ["id", "target"][:width] if width <= 2 else ["id", *map(str, range(1, width))]


def _as_structure(file: Path) -> str:
    """The format that a file or folder has as a structure by its name, or nothing."""
    if (file / "POSCAR").is_file():
        return f"{file.name}/POSCAR"
    named = file.name.startswith(("POSCAR", "CONTCAR")) or file.name.lower().endswith(SUFFIXES)
    return file.name if named and not file.is_dir() else ""
