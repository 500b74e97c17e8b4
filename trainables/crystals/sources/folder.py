"""A folder with `id_prop.csv` and one structure file a row, as CGCNN and ALIGNN lay it out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from trainables.crystals.crystal import Entry, one_line
from trainables.crystals.sources.base import (
    SourceError,
    choose_target,
    csv_rows,
    is_numeric,
    open_text,
    readable,
)
from trainables.crystals.sources.table import sniff_delimiter

TABLE = "id_prop.csv"
_PATTERNS = ("{}", "{}.cif", "{}.vasp", "{}.poscar", "POSCAR-{}", "{}/POSCAR", "{}.json")
_LONGEST_ID = 200  # bytes; file systems take names of 255
_LARGEST_FILE = 16 << 20  # bytes; a crystal of a thousand atoms needs a few hundred kB


class Folder:
    """Streams the structure files that `id_prop.csv` (id, target; header optional) lists.

    A file is looked for as ID itself, ID.cif, ID.vasp, ID.poscar, POSCAR-ID, ID/POSCAR, ID.json.

    Raises:
        SourceError: built on a folder without a usable table.
    """

    unit: str | None = None

    def __init__(self, path: Path, target: str | None = None, name: str | None = None) -> None:
        self.path = path
        self.name = name or path.resolve().name
        self._table = path / TABLE
        if not self._table.is_file():
            raise SourceError(f"{path}: no {TABLE} in this folder; write one with lines ID,TARGET")
        rows = self._read_table()
        header = self._header(rows)
        self._rows = rows[1:] if self._has_header else rows
        others = header[1:]
        numeric = [
            column
            for at, column in enumerate(others, 1)
            if len(others) == 1 or is_numeric(r[at] for r in self._rows if len(r) > at)
        ]
        if not self._has_header and target == "target" and len(others) == 1:
            target = None
        self.target_name = choose_target(self._table, others, numeric, target)
        self._target_at = header.index(self.target_name, 1)

    def digest(self) -> str:
        """SHA-256 (hex) of the table, of each listed file's name and bytes, and the target."""
        digest = hashlib.sha256()
        with readable(self._table):
            digest.update(self._table.read_bytes())
        for row in self._rows:
            file, reason = self._find(row[0].strip())
            if file is None:
                digest.update(b"\0" + reason.encode())
                continue
            with readable(file):
                content = hashlib.sha256(file.read_bytes()).digest()
            digest.update(b"\0" + file.relative_to(self.path).as_posix().encode() + content)
        digest.update(b"\0" + self.target_name.encode())
        return digest.hexdigest()

    def count(self) -> int:
        """Number of rows in the table."""
        return len(self._rows)

    def entries(self) -> Iterator[Entry]:
        """One entry a row of the table; a missing or forbidden file gives a `bad` entry."""
        for row, cells in enumerate(self._rows):
            name = cells[0].strip()
            target = cells[self._target_at] if len(cells) > self._target_at else ""
            file, reason = self._find(name)
            origin = f"{self.path.name}/{TABLE}:{row + 1}"
            if file is None:
                yield Entry(row, name, "bad", reason, target, origin)
                continue
            origin = f"{self.path.name}/{file.relative_to(self.path).as_posix()}"
            with readable(file):
                text = file.read_bytes().decode("utf-8-sig", errors="replace")
            yield Entry(row, name, _format(file), text, target, origin)

    def _read_table(self) -> list[list[str]]:
        with readable(self._table), open_text(self._table, whole=True) as file:
            text = file.read()
        delimiter = sniff_delimiter(text.split("\n", 1)[0])
        found = csv_rows(text.splitlines(), self._table, delimiter)
        rows = [row for _, row in found if any(cell.strip() for cell in row)]
        if not rows:
            raise SourceError(f"{self._table}: the table is empty; write lines ID,TARGET")
        if len(rows[0]) < 2:
            raise SourceError(f"{self._table}: line 1 has one column; write lines ID,TARGET")
        return rows

    def _header(self, rows: list[list[str]]) -> list[str]:
        first = [cell.strip() for cell in rows[0]]
        text_only = not any(is_numeric([cell]) for cell in first[1:]) and all(first[1:])
        self._has_header = text_only and self._find(first[0])[0] is None
        if self._has_header:
            return first
        width = max(len(row) for row in rows)
        return ["id", "target"] if width == 2 else ["id", *map(str, range(1, width))]

    def _find(self, name: str) -> tuple[Path | None, str]:
        """The structure file of an id, or None and the reason in one line."""
        if not name:
            return None, "missing id: the cell is empty"
        if len(name.encode()) > _LONGEST_ID:
            return None, f"id too long for a file's name: {one_line(name, 40)!r}"
        posix, windows = PurePosixPath(name), PureWindowsPath(name)
        if posix.is_absolute() or windows.anchor or ".." in {*posix.parts, *windows.parts}:
            return None, "forbidden path: an id must stay inside the folder"
        for pattern in _PATTERNS:
            file = self.path / pattern.format(name)
            try:
                if not file.is_file():
                    continue
            except OSError as error:  # such as a folder that may not be entered
                return None, f"no structure file: {error.strerror}"
            if not file.resolve().is_relative_to(self.path.resolve()):
                return None, "forbidden path: the file is a link that leaves the folder"
            if file.stat().st_size > _LARGEST_FILE:
                return None, f"file too large: more than {_LARGEST_FILE >> 20} MB"
            return file, ""
        tried = ", ".join(pattern.format(name) for pattern in _PATTERNS)
        return None, f"no structure file: {one_line(tried, 200)}"


def _format(file: Path) -> str:
    return {".cif": "cif", ".json": "json"}.get(file.suffix.lower(), "poscar")
