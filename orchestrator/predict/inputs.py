"""The structures to predict: arguments of the command line become sources, and these blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from orchestrator.data.datasets import resolve
from orchestrator.interface.errors import UsageError
from trainables.crystals.crystal import Entry
from trainables.crystals.sources import ANY_COLUMN, Source, SourceError
from trainables.crystals.sources.ase_database import AseDatabase
from trainables.crystals.sources.files import Files, is_structure
from trainables.crystals.sources.ids import with_sound_ids
from trainables.crystals.sources.structure_files import LARGEST_FILE

ROWS_PER_BLOCK = 1024
LARGEST_BLOCK = 4 << 20  # characters; a crystal of that size is a block by itself


class Entries(Protocol):
    """What yields structures: a `Source`, or one whose ids are made its own."""

    def entries(self) -> Iterator[Entry]:
        """In a fixed order."""


@dataclass(frozen=True)
class OfSeveral:
    """One of several files: a structure that its file only counts is called by the file too.

    Attributes:
        given: the file as given.
    """

    source: Source
    given: str

    def entries(self) -> Iterator[Entry]:
        """`slabs/al.xyz:1` for the first frame; whatever has an id of its own keeps it."""
        for entry in with_sound_ids(self.source.entries()):
            row = str(entry.row + 1)
            if isinstance(self.source, AseDatabase) and entry.id.isdecimal():
                row = entry.id  # rows that were deleted leave gaps
            named = entry.id not in (row, f"row {row}")
            yield entry if named else replace(entry, id=f"{self.given}:{row}")


def sources_of(structures: Sequence[str], *, follow_links: bool) -> list[Entries]:
    """The sources of the arguments; neighbouring structure files are one source.

    Raises:
        UsageError: there is no such file, or it holds no structures.
    """
    found: list[Entries] = []
    for text in structures:
        path = Path(text)
        if path.is_file() and (is_structure(path) or _is_one(path)):
            if found and isinstance(found[-1], Files):
                found[-1].paths.append(path)
            else:
                found.append(Files([path]))
        else:
            source = resolve(text, target=ANY_COLUMN, follow_links=follow_links)
            found.append(source if len(structures) == 1 else OfSeveral(source, text))
    return found


def _is_one(path: Path) -> bool:
    """Whether a file is the JSON of one structure."""
    if path.suffix.lower() != ".json" or path.stat().st_size > LARGEST_FILE:
        return False
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "sites" in content


def blocks_of(sources: Sequence[Entries]) -> Iterator[list[Entry]]:
    """The entries of all sources in order, many at a time.

    Raises:
        UsageError: a source turns out to be broken.
    """
    for source in sources:
        block: list[Entry] = []
        held = 0
        try:
            entries = source.entries()
            if not isinstance(source, Files | OfSeveral):  # ids with paths are of any length
                entries = with_sound_ids(entries)
            for entry in entries:
                block.append(entry)
                held += len(entry.text)
                if len(block) == ROWS_PER_BLOCK or held >= LARGEST_BLOCK:
                    yield block
                    block, held = [], 0
        except SourceError as error:
            raise UsageError(str(error)) from None
        if block:
            yield block
