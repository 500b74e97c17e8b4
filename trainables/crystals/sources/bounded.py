"""Limits the size of lines and rows, so that reading stops before they fill the memory.

Otherwise a file without line breaks, or with an unclosed quote, would be one line or one cell.
"""

from __future__ import annotations

import io
from collections.abc import Iterable

from trainables.crystals.sources.gunzip import TooMuchText

# For a row of a CSV: twice the largest text of a crystal, and more cells than its JSON has commas.
# Python needs four bytes for some characters, and sixty for a short cell.
LARGEST_ROW = 32 << 20  # characters
MOST_CELLS = 2 << 20


class BoundedLines(io.TextIOWrapper):
    """A text file read line by line, with limited lines."""

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        """The next line; raises TooMuchText if it is longer than `LARGEST_ROW`."""
        if size >= 0:
            return super().readline(size)
        line = super().readline(LARGEST_ROW + 1)
        if len(line) > LARGEST_ROW:
            raise TooMuchText(
                f"a line is longer than {LARGEST_ROW / 2**20:g} million characters; a table has a"
                " line a row"
            )
        return line

    def __next__(self) -> str:  # type: ignore[override]
        """The next line, as `readline`."""
        line = self.readline()
        if not line:
            raise StopIteration
        return line


class MeasuredRows:
    """The lines of a CSV on their way to its reader, which calls `begin_row` for each row."""

    def __init__(self, lines: Iterable[str], delimiter: str) -> None:
        self._lines, self._delimiter = iter(lines), delimiter
        self.begin_row(1)

    def begin_row(self, line: int) -> None:
        """Starts a row: the following lines belong to it."""
        self._line, self._characters, self._cells = line, 0, 0

    def __iter__(self) -> MeasuredRows:
        return self

    def __next__(self) -> str:
        """The next line; raises TooMuchText if its row has become too large."""
        line = next(self._lines)
        self._characters += len(line)
        self._cells += line.count(self._delimiter)
        if self._characters > LARGEST_ROW or self._cells > MOST_CELLS:
            raise TooMuchText(
                f"the row that begins in line {self._line} is too large; is a quote never"
                " closed, or are there no line breaks?"
            )
        return line
