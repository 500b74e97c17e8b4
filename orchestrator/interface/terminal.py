"""Filters what jobs print: no name from a file reaches a terminal as a control sequence."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO

from trainables.printable import printable

# Allowed at the start of a line that overwrites another: return, cursor up, clear to end of line.
_OVERWRITE = re.compile(r"[\r\n]*(?:\r|\x1b\[K|\x1b\[A)*")


class Terminal:
    """A stream that shows control characters, except line breaks and tabs, as escape sequences.

    All other attributes are those of the wrapped stream.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes the text; only at its start may it return, move up and clear the line."""
        begin = _OVERWRITE.match(text)
        end = begin.end() if begin else 0
        self._stream.write(text[:end] + printable(text[end:], keep="\n\t"))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Writes each line."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def safe() -> Iterator[None]:
    """Within this context, everything printed goes through a `Terminal`."""
    with redirect_stdout(_through(sys.stdout)), redirect_stderr(_through(sys.stderr)):
        yield


def _through(stream: TextIO) -> Any:
    return stream if stream is None or isinstance(stream, Terminal) else Terminal(stream)
