"""The progress display of a training grid."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from ray import tune
from ray.tune.experiment import Trial

from orchestrator.interface.format import duration, why
from orchestrator.runs.records import DONE
from orchestrator.training.arrays import Naming, TrainingArray
from orchestrator.training.time_left import TimeLeft

SECONDS_BETWEEN_LINES = {True: 1.0, False: 20.0}  # by whether the stream is a terminal


class Progress(tune.Callback):
    """Prints models done, running and failed, the best validation MAE of each task, time left.

    Args:
        arrays: in the order in which they start.
        weights: array's id -> expected relative cost.
        naming: names the models in messages.
        before: rows of the grid's models that are recorded already.
        error: column of the validation error.
    """

    def __init__(
        self,
        arrays: Sequence[TrainingArray],
        weights: Mapping[str, float],
        *,
        naming: Naming,
        before: Sequence[Mapping[str, Any]] = (),
        error: str = "val_mae",
        stream: TextIO | None = None,
    ) -> None:
        self._arrays = {array.id: array for array in arrays}
        self._left = TimeLeft(arrays, weights)
        self._active: dict[str, int] = {}
        self._finished: dict[str, str] = {}
        self._best: dict[str, tuple[str, float, str]] = {}
        self._total = len(before) + sum(len(array.keys) for array in arrays)
        self._start = self._last = time.monotonic()
        self._stream = stream or sys.stderr
        self._error = error
        self._told_unsaved = False
        self._naming = naming
        for row in before:
            self._count(row)

    def __getstate__(self) -> dict[str, Any]:
        """All but the stream, as Tune pickles its callbacks to a file."""
        return {name: value for name, value in vars(self).items() if name != "_stream"}

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Counts an array's models as running before their first report."""
        array = self._arrays[trial.config["array"]]
        keys = array.keys.values()
        self._active[array.id] = sum(key not in self._finished for key in keys)
        self._left.begin(array.id, time.monotonic())

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Prints the state even if no array has reported for long."""
        self._print(force=False)

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Stops counting a dead worker's models as running, until another worker takes them."""
        array = self._arrays[trial.config["array"]]
        self._active[array.id] = 0
        self._left.lost(array.id)
        self._note(f"{array.id}: its worker died; it begins again")

    def killed(self, names: Sequence[str]) -> None:
        """Handles arrays that were in training when a node ran out of memory."""
        for name in names:
            self._active[name] = 0
            self._left.lost(name)
            self._note(f"{name}: stopped as a node ran out of memory; it begins again, alone")

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """Handles the report of one array."""
        array = self._arrays[trial.config["array"]]
        self._active[array.id] = result["active"]
        share = result["epoch"] / array.epochs
        self._left.report(array.id, share, result["done"], time.monotonic())
        # Tune keeps the last report of every trial; the rows in it are on disk already.
        self.finished(result.pop("finished"))
        if result["unsaved"] and not self._told_unsaved:
            self._told_unsaved = True  # the same of every array, once a minute
            self._note(f"{result['unsaved']}; trainings go on, but one that is interrupted begins"
                       " again where it was saved last")  # fmt: skip
        self._print(force=False)

    def finished(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Counts the rows of models that have just been recorded; reports those not done."""
        for row in rows:
            self._count(row)
            if row["status"] != DONE:
                member, reason = self._naming.member(row), why(row["error"])
                self._note(f"{row['array']} {member}: {row['status']}: {reason}")

    def _count(self, row: Mapping[str, Any]) -> None:
        self._finished[row["key"]] = row["status"]
        if row["status"] != DONE:
            return
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

    def _print(self, *, force: bool) -> None:
        now = time.monotonic()
        terminal = self._stream.isatty()
        if not force and now - self._last < SECONDS_BETWEEN_LINES[terminal]:
            return
        self._last = now
        line = self.line(now)
        if terminal and not force:
            # A wrapped line could not be overwritten by the next.
            width = shutil.get_terminal_size().columns - 1
            line = line if len(line) <= width else f"{line[: width - 1]}…"
        self._write(f"\r\033[K{line}" if terminal else f"{line}\n")

    def line(self, now: float) -> str:
        """The state in one line."""
        bad = sum(status != DONE for status in self._finished.values())
        done = len(self._finished) - bad
        left = self._left.seconds(now)
        error = self._error.replace("mae", "MAE").replace("_", " ")
        best = "; ".join(
            f"{_short(task)} {value} ({name})" for task, (value, _, name) in self._best.items()
        )
        return (
            f"{done}/{self._total} models done, {self._training()}{bad} failed"
            f" | {duration(now - self._start)},"
            f" {'estimating the time' if left is None else duration(left)} left"
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
        self._print(force=True)
        if self._stream.isatty():
            self._write("\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _short(task: str) -> str:
    return task.rsplit("/", 1)[-1]
