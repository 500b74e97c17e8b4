"""Snapshots of arrays in training, so that a lost machine costs a minute and not a day."""

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
# Where snapshots take long to write, at most this share of the time goes into them.
SHARE = 0.05


@dataclass
class Checkpoints:
    """The snapshots of a run's arrays, one file per array, named after it.

    A file contains its own checksum and which models it is of; an array of other models cannot
    use it, and starts from the beginning.
    """

    folder: Path
    _last: float = field(default_factory=time.monotonic)
    _cost: float = 0.0

    def begin(self) -> None:
        """Starts the clock of a training: the first snapshot is due after an interval."""
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether enough time has passed since the last snapshot for another one."""
        return time.monotonic() - self._last > max(SECONDS_BETWEEN, self._cost / SHARE)

    def write(self, array: str, content: bytes) -> None:
        """Replaces an array's snapshot; after an OSError the former one stays."""
        start = time.monotonic()
        try:
            self.folder.mkdir(exist_ok=True)  # not its parents: the run's disk may be unmounted
            durable.write_bytes(self._file(array), content)
        finally:
            self._last = time.monotonic()
            self._cost = self._last - start

    def read(self, array: str) -> bytes | None:
        """Reads an array's snapshot, unverified; None if none can be read."""
        try:
            return self._file(array).read_bytes()
        except OSError:
            return None

    def forget(self, array: str) -> None:
        """Deletes a snapshot that is not needed any more; then the folder, if it is empty."""
        self._file(array).unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    def forget_all(self) -> None:
        """Deletes all snapshots, as no array is in training, and the folder if it is then empty."""
        with suppress(FileNotFoundError, NotADirectoryError):
            for path in list(self.folder.iterdir()):
                if SNAPSHOT.fullmatch(durable.draft_of(path.name) or path.name):
                    path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    def _file(self, array: str) -> Path:
        return self.folder / f"{hashlib.sha256(array.encode()).hexdigest()[:24]}.snapshot"
