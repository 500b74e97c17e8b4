"""Trains in processes of this machine, where there is no Ray."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import wait
from types import FrameType
from typing import Any

from orchestrator.interface import interrupts
from orchestrator.interface.errors import UsageError
from orchestrator.nodes.child import WorkError
from orchestrator.nodes.processes import Child, Died
from orchestrator.nodes.this_machine import ThisMachine, gpu_of
from orchestrator.nodes.worker import Worker
from orchestrator.runs.records import Records
from orchestrator.training.events import ArrayBegan, ArrayLost, Observers, Waited
from orchestrator.training.runners import (
    DIED,
    LOST_WORKERS,
    SAVING,
    Ending,
    Reports,
    say_stopping,
)
from orchestrator.training.study import MakeFit, Study, TrainingArray
from orchestrator.training.trials import Trial, prepare

SECONDS = 0.2  # between two looks at whether to stop


class TrialProcess:
    """In a process: runs one trial after the other; the data set stays loaded between them."""

    def __init__(self, records: Records, device: str, threads: int, make_fit: MakeFit) -> None:
        prepare(threads)
        self._records, self._device, self._make_fit = records, device, make_fit
        self._data: Any = None

    def begin(self, array: TrainingArray, *data: Any) -> dict[str, Any]:
        """Switches to an array, and to the data set that it needs if that is given."""
        if data:
            (self._data,) = data
        self._trial = Trial(array, self, self._records, self._device, self._make_fit)
        return self.step()

    def step(self) -> dict[str, Any]:
        """Trains for some seconds; the report of `Trial.step`."""
        return self._trial.step()

    def save(self) -> None:
        """Writes a snapshot of the array in training."""
        self._trial.save()

    def dataset(self, name: Hashable) -> Any:
        """What it holds: the process that started this one knows the names."""
        return self._data

    def is_lost(self, error: Exception) -> bool:
        """Never: what fails here ends the process."""
        return False

    def without_folder(self) -> str:
        """The folder was there when the training began."""
        return "not there any more"


class _Place:
    """Where one trial after the other runs, in a process that is replaced when it dies.

    Attributes:
        array: the one in training, if any.
    """

    def __init__(self, make: Callable[[], TrialProcess], variables: Mapping[str, str]) -> None:
        self._make, self._variables = make, variables
        self.array: TrainingArray | None = None
        self._start()

    def _start(self) -> None:
        self.child = Child(self._make, self._variables)
        self._held: Hashable = None  # name of the data set that the process has

    def begin(self, array: TrainingArray, datasets: Mapping[Any, Any]) -> None:
        """Has the process train an array."""
        needed = () if self._held == array.data else (datasets[array.data],)
        self.array, self._held = array, array.data
        self.child.ask("begin", array, *needed)

    def replace(self) -> None:
        """Starts another process."""
        self.child.close()
        self.array = None
        self._start()


class _Run:
    """The trials of one run, and what becomes of them.

    Attributes:
        lost, disk: as of `Ending`.
        stopped: whether the user stopped it.
    """

    def __init__(self, arrays: Sequence[TrainingArray], observers: Observers) -> None:
        self._left, self._observers = deque(arrays), observers
        self._reports = Reports(observers)
        self._deaths: Counter[str] = Counter()
        self.lost: dict[str, str] = {}
        self.disk = ""
        self.stopped = False

    def work(self, places: Sequence[_Place], datasets: Mapping[Any, Any]) -> None:
        """Keeps the places at work until all arrays are finished, or it has to stop."""
        while not (self.stopped or self.disk):
            for place in places:
                if place.array is None and self._left:
                    array = self._left.popleft()
                    self._observers.see(ArrayBegan(array.id))
                    place.begin(array, datasets)
            busy: dict[Any, _Place] = {
                place.child.connection: place for place in places if place.array is not None
            }
            if not busy:
                return
            for connection in wait(list(busy), SECONDS):
                self._hear(busy[connection])
            self._observers.see(Waited())

    def save(self, places: Sequence[_Place]) -> None:
        """Has the arrays in training saved, as far as that takes no longer than `SAVING`."""
        until = time.monotonic() + SAVING
        busy: dict[Any, _Place] = {
            place.child.connection: place for place in places if place.array is not None
        }
        asked: set[Any] = set()  # those that have ended their step
        while busy and (left := until - time.monotonic()) > 0:
            for connection in wait(list(busy), left):
                place = busy[connection]
                try:
                    report = place.child.answer()
                except (Died, WorkError, UsageError, OSError):
                    del busy[connection]
                    continue
                if connection in asked or report["done"]:
                    del busy[connection]
                else:
                    place.child.ask("save")
                    asked.add(connection)

    def _hear(self, place: _Place) -> None:
        """Takes a report, or notices that the process is gone."""
        array = place.array
        assert array is not None, "only busy places are heard"
        try:
            report = place.child.answer()
        except (Died, WorkError, UsageError, OSError) as error:
            place.replace()
            self._lose(array, str(error))
            return
        self._reports.see(array.id, report)
        self.disk = self.disk or report["disk"]
        if report["done"]:
            place.array = None
        else:
            place.child.ask("step")

    def _lose(self, array: TrainingArray, why: str) -> None:
        """Puts an array last, where it is most likely to have the memory for itself."""
        self._deaths[array.id] += 1
        if self._deaths[array.id] > LOST_WORKERS:
            self.lost[array.id] = why
        else:
            self._observers.see(ArrayLost(array.id, DIED))
            self._left.append(array)


class Processes:
    """Runs the trials of a study in as many processes as there is room for: `runners.Runner`."""

    def __init__(self, study: Study, records: Records, worker: Worker) -> None:
        self._datasets, self._worker = study.data, worker
        own = records.for_workers()
        self._make = partial(TrialProcess, own, worker.device, worker.threads, study.make_fit)

    def run(self, arrays: Sequence[TrainingArray], observers: Observers) -> Ending:
        """Trains arrays until all are finished, or the user or a disk error stops them."""
        run, places = _Run(arrays, observers), list[_Place]()
        slots = max(1, ThisMachine().slots(self._worker.cpus, self._worker.gpus))
        with _answering(run):
            try:
                for number in range(min(slots, len(arrays))):
                    places.append(_Place(self._make, self._variables(number)))
                run.work(places, self._datasets)
                if run.stopped:
                    run.save(places)
            finally:  # what they had not recorded or saved yet is computed again
                for place in places:
                    place.child.close()
        return Ending(run.lost, run.disk)

    def _variables(self, number: int) -> dict[str, str]:
        """The environment of a process, by its number."""
        found = {"OMP_NUM_THREADS": str(self._worker.threads)}
        if self._worker.gpus:
            gpu = gpu_of(number, self._worker.gpus)
            visible = os.environ.get("CUDA_VISIBLE_DEVICES")
            found["CUDA_VISIBLE_DEVICES"] = visible.split(",")[gpu] if visible else str(gpu)
        return found


@contextmanager
def _answering(run: _Run) -> Iterator[None]:
    """Within this context the first signal stops a run; the second one ends this process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def answer(number: int, frame: FrameType | None) -> None:
        with interrupts.once():
            say_stopping()
            run.stopped = True

    before = {number: signal.getsignal(number) for number in interrupts.SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # ignored under nohup
            signal.signal(number, answer)
    try:
        yield
    finally:
        if not run.stopped:
            for number, handler in before.items():
                signal.signal(number, handler)
