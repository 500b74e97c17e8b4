"""What a training needs of whatever runs its trials: Ray Tune, or processes of this machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from orchestrator.training.events import Note, Observers, Recorded, Trained
from orchestrator.training.study import TrainingArray

# A lost machine is no fault of a model: its array is restarted on another worker this many times.
LOST_WORKERS = 3
# Seconds that a stopped run gives its workers to end a step and write a snapshot; the rest of
# `interrupts.PATIENCE` is for its own end.
SAVING = 4.0
EXPERIMENT = "elemgrid"  # Tune's name of it, for all jobs
DIED = "its worker died; it begins again"
SAVED_BEFORE = "trainings go on, but one that is interrupted begins again where it was saved last"


@dataclass(frozen=True)
class Ending:
    """How trials ended.

    Attributes:
        lost: errors of the arrays whose workers died too many times, by array.
        disk: why the first failing worker could not write or read a file, or "".
    """

    lost: Mapping[str, str]
    disk: str


class OutOfMemory(Exception):
    """Workers were killed because a node ran out of memory.

    Attributes:
        running: the arrays that were in training, one of which used the memory.
    """

    def __init__(self, running: Sequence[str], why: str) -> None:
        super().__init__(why)
        self.running = list(running)


class Runner(Protocol):
    """Runs the trials of a study."""

    def run(self, arrays: Sequence[TrainingArray], observers: Observers) -> Ending:
        """Trains arrays, in their order, until the user or a disk error stops them.

        Raises:
            OutOfMemory: and all trials have ended.
        """


class Reports:
    """Turns what trials report into events."""

    def __init__(self, observers: Observers) -> None:
        self._observers = observers
        self._unsaved = ""

    def see(self, array: str, report: Mapping[str, Any]) -> None:
        """Passes a report on; a snapshot that could not be written is noted once."""
        if rows := report["finished"]:
            self._observers.see(Recorded(rows))
        self._observers.see(Trained(array, report["epoch"], report["active"], report["done"]))
        if report["unsaved"] and not self._unsaved:
            self._unsaved = report["unsaved"]  # the same for every array, once a minute
            self._observers.see(Note(f"{self._unsaved}; {SAVED_BEFORE}"))


def say_stopping() -> None:
    """Prints at once that the signal to stop was received."""
    print("\nstopping; what is recorded stays (again: at once)", file=sys.stderr)
