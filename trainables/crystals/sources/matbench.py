"""A MatBench file: `{"index": […], "columns": [structure, target], "data": [[…, y], …]}`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any

from trainables.crystals.crystal import Entry, one_line
from trainables.crystals.registry import LEADERBOARD
from trainables.crystals.sources.base import (
    ANY_COLUMN,
    choose_target,
    columns_of,
    file_digest,
    is_text,
    open_text,
    readable,
    stem,
)
from trainables.crystals.sources.cells import NUMBERS, Cells
from trainables.crystals.sources.columns import SAMPLE, find_column, form_of, lacks_structures
from trainables.crystals.sources.ids import first_id
from trainables.crystals.sources.json_stream import JsonStream
from trainables.crystals.targets import is_numeric

_TASK_FILE = re.compile(r"matbench_(\w+)\.json(?:\.gz)?")


class MatBench:
    """Streams a MatBench `.json.gz` (or plain `.json`); one row is held at a time.

    Ids are MatBench's own (`mb-phonons-0001`) when the file has its name, else the index.

    Raises:
        SourceError: the file is missing, broken or different.
    """

    def __init__(self, path: Path, target: str | None = None, name: str | None = None) -> None:
        self.path = path
        task_file = _TASK_FILE.fullmatch(path.name)
        self._task = task_file[1] if task_file else None
        self.name = name or self._task or stem(path)
        with readable(path), open_text(path) as file:
            stream = JsonStream(file, path)
            self._index, self._columns = self._head(stream)
            self._check_rows(stream)
        found = find_column(path, self._columns, ["structure"])
        if found is None:
            raise lacks_structures(path, self._columns, "structure")
        self._structure = found
        others = [name for name in self._columns if name != found]
        self.target_name = choose_target(path, others, others, target)
        self._wanted = target != ANY_COLUMN
        self._targets, _ = columns_of(self.target_name, self._columns)
        self.cells = self._form() if self._wanted else NUMBERS
        known = LEADERBOARD.get(self._task or "")
        self.unit = known.unit if known and known.target == self.target_name else None

    def digest(self) -> str:
        """SHA-256 (hex) of the file's bytes and the target's name."""
        return file_digest(self.path, self.target_name)

    def count(self) -> int:
        """Number of rows according to the index."""
        return len(self._index)

    def entries(self) -> Iterator[Entry]:
        """Yields one entry per row.

        Raises:
            SourceError: rows are missing, or the file is damaged.
        """
        for row, cells in enumerate(self._rows()):
            yield self._entry(row, cells)

    def _rows(self) -> Iterator[list[str]]:
        """The cells of each row, as JSON texts."""
        with readable(self.path), open_text(self.path) as file:
            stream = JsonStream(file, self.path)
            self._head(stream)
            stream.expect("[", "after 'data'")
            row = 0
            while not stream.skip("]"):
                if row:
                    stream.expect(",", f"after row {row}")
                yield self._cells(stream, row)
                row += 1
            if row != len(self._index):
                raise stream.broken(f"{row} rows, but the index announces {len(self._index)}")
            stream.drain()

    def _head(self, stream: JsonStream) -> tuple[list[Any], list[str]]:
        # MatBench writes index and columns first; without them no row could be named in a stream.
        found: dict[str, Any] = {}
        stream.expect("{", "at the start")
        while True:
            key, _ = stream.value("for a key")
            stream.expect(":", f"after {key!r}")
            if key == "data":
                break
            found[str(key)], _ = stream.value(f"for {key!r}")
            stream.expect(",", f"after {key!r}: 'data' is missing or")
        for key in ("index", "columns"):
            if not isinstance(found.get(key), list):
                raise stream.broken(f"no list {key!r} before 'data'")
        columns = [str(name) for name in found["columns"]]
        odd = next((name for name in columns if not is_text(name)), None)
        if odd is not None:
            raise stream.broken(f"column {one_line(ascii(odd), 60)} is no text")
        return found["index"], columns

    def _check_rows(self, stream: JsonStream) -> None:
        if stream.peek() != "[":
            raise stream.broken("'data' is not a list")

    def _cells(self, stream: JsonStream, row: int) -> list[str]:
        where = f"in row {row + 1}"
        stream.expect("[", where)
        cells: list[str] = []
        while not stream.skip("]"):
            if cells:
                stream.expect(",", where)
            cells.append(stream.value(where)[1])
        return cells

    def _entry(self, row: int, cells: list[str]) -> Entry:
        origin = f"{self.path.name}:{row + 1}"
        if len(cells) != len(self._columns):
            reason = f"broken row: {len(cells)} cells, but {len(self._columns)} columns"
            return Entry(row, self._id(row), "bad", reason, "", origin)
        by_name = dict(zip(self._columns, cells, strict=True))
        target = [_unquoted(by_name[name]) for name in self._targets] if self._wanted else None
        return self.cells.entry(
            row, self._id(row), "json", by_name[self._structure], target, origin
        )

    def _form(self) -> Cells:
        """By the first rows, up to one in which a single target is there; it tells all."""
        sample: list[list[str]] = []
        for cells in islice(self._targets_of_rows(), SAMPLE):
            sample.append(cells)
            numbers = all(is_numeric([cell]) for cell in cells)
            if numbers or len(cells) > 1:
                break
        shown = [[cells[at] for cells in sample] for at in range(len(self._targets))]
        every = partial(map, itemgetter(0), self._targets_of_rows())
        return form_of(self.path, self.target_name, self._targets, shown, every)

    def _targets_of_rows(self) -> Iterator[list[str]]:
        """The target's cells of all rows."""
        places = [self._columns.index(name) for name in self._targets]
        for cells in self._rows():
            if len(cells) == len(self._columns):
                yield [_unquoted(cells[at]) for at in places]

    def _id(self, row: int) -> str:
        if self._task is None:
            return first_id(self._index[row : row + 1], str(row + 1))
        width = len(str(len(self._index)))
        return f"mb-{self._task.replace('_', '-')}-{row + 1:0{width}d}"


def _unquoted(cell: str) -> str:
    """The text of a JSON string; other values as they are written."""
    return str(json.loads(cell)) if cell.startswith('"') else cell
