"""Reads a large JSON file value by value, holding one value in memory at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Any

from trainables.crystals.sources.base import SourceError, readable

_CHUNK = 1 << 20  # characters
# Characters; a longer single value means a broken file or a bomb, as Python needs twenty times as
# much for empty lists. The ids of a million crystals fit, and so does any crystal.
_LARGEST_VALUE = 24 << 20
_SPACE = " \t\r\n"


class JsonStream:
    """A cursor in a JSON text: peeks at the next character, skips it, or reads a value."""

    def __init__(self, file: IO[str], path: Path, what: str = "MatBench JSON file") -> None:
        self._file = file
        self._path = path
        self._what = what
        self._buffer = ""
        self._at = 0
        self._ended = False
        self._decoder = json.JSONDecoder()

    def peek(self) -> str:
        """The next character that is not white space, `""` at the end."""
        while True:
            while self._at < len(self._buffer):
                if self._buffer[self._at] not in _SPACE:
                    return self._buffer[self._at]
                self._at += 1
            if not self._more():
                return ""

    def skip(self, character: str) -> bool:
        """Skips `character` if it comes next; returns whether it did."""
        if self.peek() != character:
            return False
        self._at += 1
        return True

    def expect(self, character: str, where: str) -> None:
        """Skips `character`.

        Raises:
            SourceError: something else comes next.
        """
        if not self.skip(character):
            raise self.broken(f"{character!r} expected {where}")

    def value(self, where: str, limit: int = _LARGEST_VALUE) -> tuple[Any, str]:
        """Reads the next value; returns it with its text in the file.

        Args:
            where: in the file, for an error.
            limit: largest number of characters of a value.

        Raises:
            SourceError: there is no readable value.
        """
        self.peek()
        chunk = _CHUNK
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._at)
            except (ValueError, RecursionError):
                room = limit + 1 - (len(self._buffer) - self._at)
                if room <= 0:
                    raise self._too_long(where) from None
                if not self._more(min(chunk, room)):
                    raise self.broken(f"no readable value {where}") from None
                chunk *= 2
                continue
            if end - self._at > limit:
                raise self._too_long(where)
            # A number at the end of the buffer may continue in the next chunk.
            if end < len(self._buffer) or not self._more():
                text = self._buffer[self._at : end]
                self._at = end
                return value, text

    def drain(self) -> None:
        """Reads on to the end, so that a truncated or damaged gzip file is noticed."""
        with readable(self._path):
            while self._file.read(_CHUNK):
                pass

    def broken(self, what: str) -> SourceError:
        """The error for a text that is not the JSON it should be."""
        ended = ", the file ends there" if self._ended and not self.peek() else ""
        return SourceError(f"{self._path}: not a {self._what} ({what}{ended}); fetch it again")

    def _too_long(self, where: str) -> SourceError:
        return self.broken(f"a value {where} is too long, or broken")

    def _more(self, size: int = _CHUNK) -> bool:
        if self._ended:
            return False
        with readable(self._path):
            text = self._file.read(size)
        self._ended = not text
        self._buffer = self._buffer[self._at :] + text
        self._at = 0
        return bool(text)
