"""Reads gzip files, and stops if the text is far larger than any data set."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import IO, Any

# Structures as text shrink 5 to 30 times, repetitive tables some 50 times, and deflate at most 1032
# times: what shrinks more than 200 times holds almost no information.
LARGEST_RATIO = 200
# Below this size any ratio is accepted: a small table of zeros is no bomb.
HARMLESS = 64 << 20  # bytes of text
# A hundred times the largest of MatBench, 0.57 GB; what is streamed is never in memory whole.
LARGEST_STREAM = 64 << 30  # bytes of text


class TooMuchText(OSError):
    """A text beyond a limit; `strerror` names the limit and the remedy."""

    def __init__(self, what: str) -> None:
        super().__init__(None, what)


def opened(path: Path, largest: int) -> IO[bytes]:
    """Opens the text of a gzip file; reading beyond `largest` bytes or the ratio raises."""
    return io.BufferedReader(_Counted(path, largest), 1 << 20)


class _Counted(io.RawIOBase):
    """A gzip file that counts the bytes read from it."""

    def __init__(self, path: Path, largest: int) -> None:
        self._file = gzip.open(path, "rb")  # noqa: SIM115 - closed by `close`
        self._packed = path.stat().st_size
        self._largest, self._came = largest, 0

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Reads the next bytes; raises TooMuchText beyond the limits."""
        number = self._file.readinto(buffer)
        self._came += number
        if self._came > self._largest:
            raise TooMuchText(too_large(self._largest))
        if self._came > HARMLESS and self._came > LARGEST_RATIO * self._packed:
            raise TooMuchText(
                f"its text is more than {LARGEST_RATIO} times the size of the gzip file; if it is"
                " meant to be, gunzip it and give the plain file"
            )
        return number

    def close(self) -> None:
        """Closes the file too."""
        self._file.close()
        super().close()


def too_large(largest: int) -> str:
    """The message for a text beyond `largest` bytes."""
    size = f"{largest >> 30} GiB" if largest >= 1 << 30 else f"{largest >> 20} MiB"
    return f"its text is larger than {size}; divide it into several files"
