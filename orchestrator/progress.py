"""What a person sees while a grid trains."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from ray import tune
from ray.tune.experiment import Trial

from orchestrator.grid import GridArray
from orchestrator.ledger import DONE

SECONDS_BETWEEN_LINES = {True: 1.0, False: 20.0}  # by whether a person watches a terminal


class Progress(tune.Callback):
    """Prints models done, running and failed, the best validation MAE of each task, time left.

    Args:
        weights: array's id -> expected relative cost; arrays count by it in the time left.
        recorded: models of the grid that were done before.
        total: models of the grid.
    """

    def __init__(
        self,
        arrays: Sequence[GridArray],
        weights: Mapping[str, float],
        *,
        recorded: int,
        total: int,
        stream: TextIO | None = None,
    ) -> None:
        self._epochs = {array.id: array.spec.recipe.epochs for array in arrays}
        self._weights = dict(weights)
        self._share = dict.fromkeys(self._weights, 0.0)
        self._active: dict[str, int] = {}
        self._finished: dict[str, str] = {}
        self._best: dict[str, tuple[float, str]] = {}
        self._recorded, self._total = recorded, total
        self._start = self._last = time.monotonic()
        self._stream = stream or sys.stderr

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """Takes in a report of one array."""
        array: GridArray = trial.config["array"]
        self._active[array.id] = result["active"]
        self._share[array.id] = 1.0 if result["done"] else result["epoch"] / self._epochs[array.id]
        for row in result["finished"]:
            self._take(row)
        self._print(force=False)

    def _take(self, row: dict[str, Any]) -> None:
        self._finished[row["key"]] = row["status"]
        if row["status"] != DONE:
            last = row["error"].strip().splitlines()[-1]
            self._write(f"\n{row['array']} {row['mixing']}: {row['status']}: {last}\n")
            return
        best = self._best.get(row["task"])
        if best is None or row["val_mae"] < best[0]:
            name = f"{row['backbone']} d{row['dim']} {row['mixing']}"
            self._best[row["task"]] = (row["val_mae"], name)

    def _print(self, *, force: bool) -> None:
        now = time.monotonic()
        terminal = self._stream.isatty()
        if not force and now - self._last < SECONDS_BETWEEN_LINES[terminal]:
            return
        self._last = now
        line = self.line(now)
        self._write(f"\r\033[K{line}" if terminal else f"{line}\n")

    def line(self, now: float) -> str:
        """The state in one line."""
        bad = sum(status != DONE for status in self._finished.values())
        done = self._recorded + len(self._finished) - bad
        total = sum(self._weights.values())
        share = sum(self._weights[name] * part for name, part in self._share.items()) / total
        elapsed = now - self._start
        left = duration(elapsed * (1 - share) / share) if share > 0.005 else "…"
        best = "; ".join(
            f"{_short(task)} {mae:.4g} ({name})" for task, (mae, name) in self._best.items()
        )
        return (
            f"{done}/{self._total} models done, {sum(self._active.values())} running, {bad} failed"
            f" | {duration(elapsed)}, {left} left" + (f" | best val MAE: {best}" if best else "")
        )

    def close(self) -> None:
        """Prints the last state."""
        self._print(force=True)
        if self._stream.isatty():
            self._write("\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def duration(seconds: float) -> str:
    """Like 1 h 04 min, 3 min 20 s, 12 s."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole} s"


def _short(task: str) -> str:
    return task.rsplit("/", 1)[-1]
