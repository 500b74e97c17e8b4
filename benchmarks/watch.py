"""Measures the CPU time and memory of this process and its children while a block runs."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

import psutil

EVERY = 0.5  # seconds between two samples, which take some milliseconds


class Watch:
    """A context manager that samples the processes periodically.

    Memory is private memory: without files and without Ray's object store, which is counted in
    every process that has accessed it.

    Attributes:
        cpu_seconds: of all processes, since the block started.
        begin, peak: bytes of this process at the start, and at most.
        worker_peak: largest number of bytes of one of Ray's workers.
    """

    def __init__(self) -> None:
        self._driver = psutil.Process()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_often)
        self._seconds: dict[psutil.Process, float] = {}
        self._before: dict[psutil.Process, float] = {}
        self.begin = self.peak = self.worker_peak = 0

    @property
    def cpu_seconds(self) -> float:
        return sum(self._seconds.values()) - sum(self._before.values())

    def __enter__(self) -> Self:
        self.begin = _own_bytes(self._driver)
        self._look()
        self._before = dict(self._seconds)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    def _look_often(self) -> None:
        while not self._over.wait(EVERY):
            self._look()

    def _look(self) -> None:
        self.peak = max(self.peak, _own_bytes(self._driver))
        for process in [self._driver, *self._driver.children(recursive=True)]:
            try:
                times = process.cpu_times()
                self._seconds[process] = times.user + times.system
                if process.cmdline()[0].startswith("ray::"):
                    self.worker_peak = max(self.worker_peak, _own_bytes(process))
            except (psutil.Error, IndexError):  # it has just ended
                continue


def _own_bytes(process: psutil.Process) -> int:
    info = process.memory_info()
    return int(info.rss - info.shared)
