"""What jobs print, through one place: no name from a file reaches a terminal as a command."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO

from trainables.printable import printable

# Ours, in front of a line that is to be overwritten: return, and clear to the end of the line.
_OVERWRITE = re.compile(r"[\r\n]*(?:\r|\x1b\[K|\x1b\[A)*")


class Terminal:
    """A stream on which control characters, except line breaks and tabs, are written out.

    Whatever else is asked of it, the stream itself answers.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes the text; only in front may it return, go up and clear the line."""
        begin = _OVERWRITE.match(text)
        end = begin.end() if begin else 0
        self._stream.write(text[:end] + printable(text[end:], keep="\n\t"))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Writes each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def safe() -> Iterator[None]:
    """Within it, what is printed goes through a `Terminal`."""
    with redirect_stdout(_through(sys.stdout)), redirect_stderr(_through(sys.stderr)):
        yield


def _through(stream: TextIO) -> Any:
    return stream if stream is None or isinstance(stream, Terminal) else Terminal(stream)
