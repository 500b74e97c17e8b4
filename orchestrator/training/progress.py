"""The progress display of a training, as lines on a terminal or in a log."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from analysis.metrics import name_errors
from orchestrator.interface.format import duration, why
from orchestrator.runs.records import DONE
from orchestrator.training.events import (
    ArrayBegan,
    ArrayLost,
    Began,
    Event,
    Note,
    Recorded,
    Trained,
    Waited,
)
from orchestrator.training.time_left import TimeLeft

SECONDS_BETWEEN_LINES = {True: 1.0, False: 20.0}  # by whether the stream is a terminal


class Progress:
    """An observer that prints models done, running and failed, the best errors, and the time left.

    Args:
        stream: None for stderr.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._active: dict[str, int] = {}
        self._finished: dict[str, str] = {}  # key -> status
        self._best: dict[str, tuple[str, float, str]] = {}
        self._metrics: set[str] = set()

    def see(self, event: Event) -> None:
        """Handles an event, and prints when it is time."""
        match event:
            case Began():
                self._begin(event)
            case ArrayBegan(name):
                keys = self._arrays[name].keys.values()
                self._active[name] = sum(key not in self._finished for key in keys)
                self._left.begin(name, time.monotonic())
            case Trained(name, epoch, active, done):
                self._active[name] = active
                share = epoch / self._arrays[name].epochs
                self._left.report(name, share, done, time.monotonic())
                self._print()
            case Recorded(rows):
                self._record(rows)
            case ArrayLost(name, reason):
                self._active[name] = 0
                self._left.lost(name)
                self._note(f"{name}: {reason}")
            case Note(text):
                self._note(text)
            case Waited():
                self._print()

    def _begin(self, event: Began) -> None:
        self._arrays = {array.id: array for array in event.arrays}
        self._left = TimeLeft(event.arrays, event.costs)
        self._total = len(event.study.tasks)
        self._error, self._naming = event.study.error, event.study.naming
        self._start = self._last = time.monotonic()
        for row in event.recorded:
            self._count(row)

    def _record(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Counts models that have just been recorded; reports those that are not done."""
        for row in rows:
            self._count(row)
            if row["status"] != DONE:
                member, reason = self._naming.member(row), why(row["error"])
                self._note(f"{row['array']} {member}: {row['status']}: {reason}")

    def _count(self, row: Mapping[str, Any]) -> None:
        self._finished[row["key"]] = row["status"]
        if row["status"] != DONE:
            return
        self._metrics.add(row.get("metric", ""))
        task, error = row["task"], row[self._error]
        if task not in self._best or error < self._best[task][1]:
            # Most recently improved first: where the line is cut, the news stays.
            found = (
                f"{error:.4g} {row.get('unit') or ''}".rstrip(),
                error,
                self._naming.describe(row),
            )
            self._best = {task: found} | {
                other: best for other, best in self._best.items() if other != task
            }

    def _note(self, text: str) -> None:
        self._write(f"\r\033[K{text}\n" if self._stream.isatty() else f"{text}\n")

    def _print(self) -> None:
        now = time.monotonic()
        if now - self._last < SECONDS_BETWEEN_LINES[self._stream.isatty()]:
            return
        self._last = now
        self._show(self.line(now))

    def _show(self, line: str, *, whole: bool = False) -> None:
        terminal = self._stream.isatty()
        if terminal and not whole:
            # A wrapped line could not be overwritten by the next.
            width = shutil.get_terminal_size().columns - 1
            line = line if len(line) <= width else f"{line[: width - 1]}…"
        self._write(f"\r\033[K{line}" if terminal else f"{line}\n")

    def line(self, now: float, *, ended: bool = False) -> str:
        """The state in one line.

        Args:
            ended: whether nothing trains any more, so that no time is left.
        """
        bad = sum(status != DONE for status in self._finished.values())
        done = len(self._finished) - bad
        left = self._left.seconds(now)
        told = "estimating the time" if left is None else duration(left)
        error = f"val {name_errors(self._metrics)}"
        best = "; ".join(
            f"{_short(task)} {value} ({name})" for task, (value, _, name) in self._best.items()
        )
        return (
            f"{done}/{self._total} models done, {self._training()}{bad} failed"
            f" | {duration(now - self._start)}"
            + ("" if ended else f", {told} left")
            + (f" | best {error}: {best}" if best else "")
        )

    def _training(self) -> str:
        """What the workers do: each trains the models of one array side by side."""
        workers, models = self._left.running, sum(self._active.values())
        if not workers:
            return ""
        return f"{models} in training in {workers} worker{'s' if workers > 1 else ''}, "

    def close(self) -> None:
        """Prints the last state."""
        for name in self._arrays:
            self._left.lost(name)
        self._show(self.line(time.monotonic(), ended=True), whole=True)
        if self._stream.isatty():
            self._write("\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _short(task: str) -> str:
    return task.rsplit("/", 1)[-1]
