"""Structure files given one by one, each with one crystal and no target."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from trainables.crystals.crystal import Entry
from trainables.crystals.sources.base import readable
from trainables.crystals.sources.cells import NUMBERS
from trainables.crystals.sources.refused import why_refused
from trainables.crystals.sources.structure_files import LARGEST_FILE, format_of

STRUCTURES = ("POSCAR", "CONTCAR")
SUFFIXES = (".cif", ".vasp", ".poscar")
MANY = (".csv", ".tsv", ".json", ".gz", ".parquet", ".pq", ".xyz", ".extxyz", ".traj", ".db")


def is_structure(path: Path) -> bool:
    """Whether a file's name is that of one structure; a `.json` may be anything."""
    if path.suffix.lower() in MANY or why_refused(path):
        return False
    return path.name.startswith(STRUCTURES) or path.suffix.lower() in SUFFIXES


class Files:
    """Streams structure files in the order given; the id of each is its path as given."""

    unit: str | None = None
    target_name = ""
    cells = NUMBERS

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self.name = str(self.paths[0]) if len(self.paths) == 1 else f"{len(self.paths)} files"

    def digest(self) -> str:
        """SHA-256 (hex) of the names and the bytes of all files."""
        digest = hashlib.sha256()
        for path in self.paths:
            with readable(path):
                digest.update(str(path).encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()

    def count(self) -> int:
        """Number of files."""
        return len(self.paths)

    def entries(self) -> Iterator[Entry]:
        """Yields an entry for each file; one that is too large is `bad`."""
        for row, path in enumerate(self.paths):
            with readable(path):
                if path.stat().st_size > LARGEST_FILE:
                    reason = f"file too large: more than {LARGEST_FILE >> 20} MB"
                    yield Entry(row, str(path), "bad", reason, None, str(path))
                    continue
                text = path.read_bytes().decode("utf-8-sig", errors="replace")
            yield Entry(row, str(path), format_of(path), text, None, str(path))
