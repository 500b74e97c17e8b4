"""Structure files of a folder, by the names that a table gives them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePosixPath, PureWindowsPath

from trainables.crystals.crystal import one_line
from trainables.crystals.sources.base import is_text, readable

WHOLE = ("POSCAR-{}", "{}/POSCAR")
SUFFIXES = (".cif", ".vasp", ".poscar", ".json")
LONGEST_NAME = 200  # bytes; file systems take names of 255
LONGEST_PATH = 4000
LARGEST_FILE = 16 << 20  # bytes; a crystal of a thousand atoms needs a few hundred kB


class StructureFiles:
    """The structure files inside a folder.

    Args:
        follow_links: whether they may be links that lead out of it.
    """

    def __init__(self, folder: Path, *, follow_links: bool = False) -> None:
        self.folder = folder
        self._follow_links = follow_links
        self._suffixed: dict[Path, dict[str, list[str]]] = {}

    def read(self, file: Path) -> str:
        """The text of a file that was found."""
        with readable(file):
            return file.read_bytes().decode("utf-8-sig", errors="replace")

    def digest(self, name: str) -> bytes:
        """Of a file's name and bytes, or of the reason why there is none."""
        file, reason = self.find(name)
        if file is None:
            return b"\0" + reason.encode()
        with readable(file):
            content = hashlib.sha256(file.read_bytes()).digest()
        return b"\0" + file.relative_to(self.folder).as_posix().encode() + content

    def find(self, name: str) -> tuple[Path | None, str]:
        """The structure file of an id, or None and the reason in one line."""
        if not name:
            return None, "missing id: the cell is empty"
        if not is_text(name):
            return None, "no structure file: its name is not UTF-8; rename it"
        parts = name.encode().split(b"/")
        if max(map(len, parts)) > LONGEST_NAME or len(name) > LONGEST_PATH:
            return None, f"id too long for a file's name: {one_line(name, 40)!r}"
        posix, windows = PurePosixPath(name), PureWindowsPath(name)
        if posix.is_absolute() or windows.anchor or ".." in {*posix.parts, *windows.parts}:
            return None, "forbidden path: an id must stay inside the folder"
        try:
            found = self._files_of(self.folder / name)
            if len(found) > 1:
                names = " and ".join(file.relative_to(self.folder).as_posix() for file in found)
                return None, (
                    f"ambiguous: it may be {one_line(names, 200)}; give the one that is meant by"
                    " its whole name, or remove the others"
                )
            if found:
                return self._usable(found[0])
        except OSError as error:  # such as a folder without permission
            return None, f"no structure file: {error.strerror}"
        tried = ", ".join((name, *(name + suffix for suffix in SUFFIXES)))
        whole = ", ".join(pattern.format(name) for pattern in WHOLE)
        return None, f"no structure file: {one_line(f'{tried}, {whole}', 200)}"

    def _files_of(self, named: Path) -> list[Path]:
        """The file with that name, else all that it may stand for."""
        if named.is_file():
            return [named]
        name = named.relative_to(self.folder)
        folder = self._with_suffixes(named.parent)
        found = [named.parent / file for file in folder.get(named.name, ())]
        found += [self.folder / pattern.format(name) for pattern in WHOLE]
        return [file for file in found if file.is_file()]

    def _with_suffixes(self, folder: Path) -> dict[str, list[str]]:
        """Names of a folder's structure files by the part before the suffix."""
        if folder not in self._suffixed:
            by_stem: dict[str, list[str]] = {}
            for name in sorted(os.listdir(folder)) if folder.is_dir() else ():
                stem, suffix = os.path.splitext(name)
                if suffix.lower() in SUFFIXES:
                    by_stem.setdefault(stem, []).append(name)
            self._suffixed[folder] = by_stem
        return self._suffixed[folder]

    def _usable(self, file: Path) -> tuple[Path | None, str]:
        """A file that may be read, or None and the reason; raises OSError."""
        leaves = not file.resolve().is_relative_to(self.folder.resolve())
        if leaves and not self._follow_links:
            return None, (
                "forbidden path: the file is a link that leaves the folder;"
                " --follow-links allows that"
            )
        if file.stat().st_size > LARGEST_FILE:
            return None, f"file too large: more than {LARGEST_FILE >> 20} MB"
        return file, ""


def format_of(file: Path) -> str:
    """The format of a structure file, by its suffix."""
    return {".cif": "cif", ".json": "json"}.get(file.suffix.lower(), "poscar")
