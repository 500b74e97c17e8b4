"""A trial: the training of one array, in steps of some seconds that record what finishes.

Whatever runs it, a worker of Ray Tune or a process of this machine, calls `step` until it is done.
"""

from __future__ import annotations

import errno
import json
import sys
import time
import traceback
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.interface.format import of_the_disk
from orchestrator.runs.checkpoints import FOLDER, Checkpoints
from orchestrator.runs.records import DIVERGED, DONE, FAILED, Records
from orchestrator.training.environment import environment
from orchestrator.training.study import Fit, MakeFit, TrainingArray
from trainables.private_cache import keep_compiled_code_private

if TYPE_CHECKING:
    from trainables.training.outcome import Outcome

SECONDS_PER_REPORT = 3.0


class Surroundings(Protocol):
    """What a trial has to know of whatever runs it."""

    def dataset(self, name: Hashable) -> Any:
        """The data set of that name, which may be the one of the array before."""

    def is_lost(self, error: Exception) -> bool:
        """Whether an error means that the surroundings have failed, and no model."""

    def without_folder(self) -> str:
        """Why the folder of the records may not be here, and the remedy."""


def prepare(threads: int) -> None:
    """Prepares a process for trials."""
    keep_compiled_code_private()
    import torch  # here: the driver imports this module, and needs no torch

    # Torch forgets OMP_NUM_THREADS when it was imported before that was set.
    torch.set_num_threads(threads)


class Trial:
    """Trains the members of an array; records each as it finishes.

    Args:
        device: "cpu" or "cuda".
        make_fit: starts the training of an array.
        leads: whether this worker records and saves. Of several that train an array together, one
            does; all read what is recorded and saved before they begin.
    """

    def __init__(
        self,
        array: TrainingArray,
        surroundings: Surroundings,
        records: Records,
        device: str,
        make_fit: MakeFit,
        *,
        leads: bool = True,
    ) -> None:
        self._leads = leads
        self._array, self._surroundings = array, surroundings
        self._records, self._device, self._make_fit = records, device, make_fit
        self._checkpoints = Checkpoints(records.folder.parent / FOLDER)
        self._waiting: list[TrainingArray] | None = None
        self._fit: Fit | None = None
        self._epochs = self._left = 0  # of the fit: finished epochs, and models that continue
        self._retried: set[str] = set()  # keys
        self._unsaved = ""

    def step(self) -> dict[str, Any]:
        """Trains for some seconds; reports the models that finished meanwhile.

        A disk that cannot be written or read is no error of a model: it ends the trial, and the
        report's `disk` has the reason. `unsaved` is the reason why a snapshot could not be written,
        which ends nothing.

        Raises:
            Exception: the surroundings have failed; the trial is to be started again.
        """
        finished: list[dict[str, Any]] = []
        start, disk = time.perf_counter(), ""
        try:
            if self._waiting is None:
                self._demand_folder(self._records.folder)
                self._waiting = self._unrecorded(self._array)
            while self._waiting and time.perf_counter() - start < SECONDS_PER_REPORT:
                finished.extend(self._advance(self._waiting))
        except OSError as error:
            disk = of_the_disk(error)
        return {
            "done": bool(disk) or not self._waiting,
            "epoch": self._epochs,
            "active": self._left if self._fit else 0,
            "finished": finished,
            "disk": disk,
            "unsaved": self._unsaved,
        }

    def save(self) -> None:
        """Writes a snapshot of the array in training, so that an interruption costs no time."""
        if self._leads and self._fit is not None and self._waiting:
            self._save(self._waiting[0].id, self._fit)

    def _advance(self, waiting: list[TrainingArray]) -> list[dict[str, Any]]:
        """Trains one epoch, or handles its failure; returns the rows of the finished models."""
        try:
            return self._epoch(waiting)
        except Exception as error:
            self._fit = None  # it may be within an epoch, or lack models that are not recorded
            if isinstance(error, OSError) or self._surroundings.is_lost(error):
                raise  # no model is to blame
            return self._give_up(waiting, error)  # a record; the grid goes on

    def _unrecorded(self, array: TrainingArray) -> list[TrainingArray]:
        """The array without recorded models; nothing if all are recorded."""
        recorded = self._records.recorded(array.keys.values())
        left = [label for label, key in array.keys.items() if key not in recorded]
        return [array.only(left)] if left else []

    def _epoch(self, waiting: list[TrainingArray]) -> list[dict[str, Any]]:
        """Trains one epoch of the first waiting array; returns the rows of models it finished."""
        if self._fit is None:
            self._fit = self._begin(waiting[0])
            self._left = len(waiting[0].keys)
        rows = self._record(list(self._fit.advance()))
        self._epochs = self._fit.epoch
        self._left -= len(rows)
        if self._fit.finished:
            self._forget(waiting.pop(0).id)
            self._fit = None
        elif self._leads and (rows or self._checkpoints.due):
            # Together with the records: recorded models are not in the next snapshot.
            self._save(waiting[0].id, self._fit)
        return rows

    def _forget(self, array: str) -> None:
        if self._leads:
            self._checkpoints.forget(array)

    def _save(self, array: str, fit: Fit) -> None:
        try:
            self._checkpoints.write(array, fit.save())
        except OSError as error:  # the training is worth more than its snapshot
            self._unsaved = of_the_disk(error)

    def _begin(self, array: TrainingArray) -> Fit:
        """Starts an array's training, from its last snapshot."""
        # an audit event for observers: docs/reliability.md, "How it is tested"
        sys.audit("elemgrid.train", *array.keys.values())
        from trainables.training.snapshot import SnapshotError  # here: it needs torch

        self._checkpoints.begin()
        content = self._checkpoints.read(array.id)
        if content is not None:
            fit = self._make_fit(array.spec, self._surroundings.dataset(array.data), self._device)
            try:
                fit.load(content)
                return fit
            except SnapshotError:  # damaged, or of other models: only its time is lost
                self._forget(array.id)
        return self._make_fit(array.spec, self._surroundings.dataset(array.data), self._device)

    def _give_up(self, waiting: list[TrainingArray], error: Exception) -> list[dict[str, Any]]:
        """After an error, tries each model once more, alone; one that fails again has failed."""
        failed = waiting.pop(0)
        self._forget(failed.id)
        left = self._unrecorded(failed)
        if not left:
            return []
        (array,) = left
        again = [label for label, key in array.keys.items() if key not in self._retried]
        if again:
            self._retried |= set(array.keys.values())
            waiting[:0] = [array.only([label]) for label in again]
            return []
        text = "".join(traceback.format_exception(error))[-4000:]
        rows = [self._row(label) | {"status": FAILED, "error": text} for label in array.keys]
        return [row for row in rows if self._records.write(row, {})]

    def _row(self, label: str) -> dict[str, Any]:
        return self._array.row(label) | environment(self._device)

    def _record(self, outcomes: list[Outcome]) -> list[dict[str, Any]]:
        rows = [self._finished_row(outcome) for outcome in outcomes]
        arrays = [outcome.arrays for outcome in outcomes]
        if self._leads:
            self._records.write_all(list(zip(rows, arrays, strict=True)))
        return rows

    def _finished_row(self, outcome: Outcome) -> dict[str, Any]:
        history = outcome.history
        return self._row(history.member.label) | {
            "status": DIVERGED if history.diverged else DONE,
            "epochs": history.epochs,
            "best_epoch": history.best_epoch,
            "seconds": round(history.seconds, 4),
            "parameters": outcome.parameters,
            "error": "the loss became NaN or infinite" if history.diverged else "",
            "scores": json.dumps(outcome.scores) if outcome.scores else None,
            **outcome.sizes,
            **outcome.metrics,
        }

    def _demand_folder(self, folder: Path) -> None:
        """Raises OSError where the run's disk is not, as on a node that came late."""
        if not folder.is_dir():
            where = self._surroundings.without_folder()
            raise FileNotFoundError(errno.ENOENT, where, str(folder))
