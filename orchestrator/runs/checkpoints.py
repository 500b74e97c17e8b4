"""Trainings that are not over yet, kept so that a lost machine costs a minute and not a day."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.runs import durable
from orchestrator.runs.layout import CHECKPOINTS, SNAPSHOT

FOLDER = CHECKPOINTS
SECONDS_BETWEEN = 60.0
# Where a snapshot takes long to write, at most this share of the time goes into it.
SHARE = 0.05


@dataclass
class Checkpoints:
    """The snapshots of a run's arrays, one file an array, by the array's name.

    A file says itself which models it is of and whether it is whole; what it holds is of no use to
    an array of other models, which then begins anew.
    """

    folder: Path
    _last: float = field(default_factory=time.monotonic)
    _cost: float = 0.0

    def begin(self) -> None:
        """A training begins: the next snapshot is due in a while."""
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether so much time has passed since the last snapshot that one more is worth it."""
        return time.monotonic() - self._last > max(SECONDS_BETWEEN, self._cost / SHARE)

    def write(self, array: str, content: bytes) -> None:
        """Replaces an array's snapshot; OSError leaves the former one, and is not tried at once."""
        start = time.monotonic()
        try:
            self.folder.mkdir(exist_ok=True)  # not the run directory: a disk may have gone
            durable.write_bytes(self._file(array), content)
        finally:
            self._last = time.monotonic()
            self._cost = self._last - start

    def read(self, array: str) -> bytes | None:
        """An array's snapshot, whatever is in it; None where there is none that can be read."""
        try:
            return self._file(array).read_bytes()
        except OSError:
            return None

    def forget(self, array: str) -> None:
        """The array is over, or its snapshot of no use; the last one takes the folder along."""
        self._file(array).unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    def forget_all(self) -> None:
        """No array is in training: removes snapshots, and the folder if nothing else is in it."""
        with suppress(FileNotFoundError, NotADirectoryError):
            for path in list(self.folder.iterdir()):
                if SNAPSHOT.fullmatch(durable.draft_of(path.name) or path.name):
                    path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    def _file(self, array: str) -> Path:
        return self.folder / f"{hashlib.sha256(array.encode()).hexdigest()[:24]}.snapshot"
