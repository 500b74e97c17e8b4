"""The events of a training, as one stream that any number of observers watch.

Progress on the terminal is an observer; metrics and experiment trackers are others. A package adds
its own by an entry point of the group `elemgrid.observers`, which names a function that takes the
run directory and returns an `Observer`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from orchestrator.interface.format import why
from orchestrator.training.study import Study, TrainingArray

ENTRY_POINTS = "elemgrid.observers"


@dataclass(frozen=True)
class Began:
    """Training starts.

    Attributes:
        study: everything that was requested, recorded or not.
        arrays: those with models to train, in the order in which they start.
        costs: array id -> cost relative to the others.
        recorded: ledger rows of the models that were recorded before.
    """

    study: Study
    arrays: Sequence[TrainingArray]
    costs: Mapping[str, float]
    recorded: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class ArrayBegan:
    """A worker starts an array."""

    array: str


@dataclass(frozen=True)
class Trained:
    """An array reports, every few seconds.

    Attributes:
        epoch: number of finished epochs.
        active: number of models that continue.
        done: whether all of its models have finished.
    """

    array: str
    epoch: int
    active: int
    done: bool


@dataclass(frozen=True)
class Recorded:
    """Models were recorded; `rows` are their rows of the ledger."""

    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class ArrayLost:
    """The worker of an array is gone; the array waits for another one."""

    array: str
    reason: str


@dataclass(frozen=True)
class Note:
    """A message for the user, in one line."""

    text: str


@dataclass(frozen=True)
class Waited:
    """Time has passed, whether or not anything happened."""


Event = Began | ArrayBegan | Trained | Recorded | ArrayLost | Note | Waited


class Observer(Protocol):
    """Watches a training; called in the driver, so it must return within milliseconds."""

    def see(self, event: Event) -> None:
        """Handles an event."""

    def close(self) -> None:
        """Called at the end of training, or after a stop."""


class Observers:
    """Passes each event to all observers.

    An observer that raises is reported in one line and removed, so that no model is lost to it.
    """

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = list(observers)

    def see(self, event: Event) -> None:
        """Passes an event to all observers."""
        for observer in list(self._observers):
            self._call(observer, partial(observer.see, event))

    def close(self) -> None:
        """Closes all observers."""
        for observer in list(self._observers):
            self._call(observer, observer.close)

    def _call(self, observer: Observer, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # whatever an observer raises: no model is lost to it
            self._observers.remove(observer)
            name = type(observer).__qualname__
            print(f"observer {name} failed and is left out ({_reason(error)})", file=sys.stderr)


def installed_observers(run: Path) -> list[Observer]:
    """The observers of installed packages, each made for a run directory.

    One that cannot be made is reported in one line.
    """
    found: list[Observer] = []
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        try:
            found.append(entry.load()(run))
        except Exception as error:  # whatever the import of another package raises
            print(f"observer {entry.name} is left out ({_reason(error)})", file=sys.stderr)
    return found


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {why(str(error))}"
