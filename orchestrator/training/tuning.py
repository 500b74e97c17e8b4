"""Runs Ray Tune so that any ending leaves a reason and frees the cluster's resources."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from ray import tune
from ray.exceptions import OutOfMemoryError
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from orchestrator.interface import interrupts
from orchestrator.nodes.ray_internals import let_trials_take_any_worker
from orchestrator.runs.layout import TUNE
from orchestrator.runs.ownership import remove_tunes
from orchestrator.training.events import (
    ArrayBegan,
    ArrayLost,
    Note,
    Observers,
    Recorded,
    Trained,
    Waited,
)

# A lost machine is no fault of a model: its array is restarted on another worker this many times.
LOST_WORKERS = 3
SAVED_BEFORE = "trainings go on, but one that is interrupted begins again where it was saved last"
EXPERIMENT = "elemgrid"  # Tune's name of the experiment, for all jobs
# What Tune reads of a report after ours: a trial without "done" it would announce on the terminal,
# and its loggers, which may come after ours, number their lines by "training_iteration".
NEEDED = {"trial_id", "node_ip", "pid", "done", "training_iteration"}


class OutOfMemory(Exception):
    """Ray killed workers because a node ran out of memory.

    Attributes:
        running: the arrays that were in training, one of which used the memory.
    """

    def __init__(self, running: Sequence[str], why: str) -> None:
        super().__init__(why)
        self.running = list(running)


def run_trials(trainable: Any, names: Sequence[str], run: Path, observers: Observers) -> Ending:
    """Trains arrays by name until all are finished, or the user or a disk error stops them.

    Args:
        run: the run directory; Tune's files in it are deleted at the end.

    Raises:
        OutOfMemory: Tune takes Ray's kill of a worker for its memory as an internal error, and
            ends with all running trials.
    """
    ending, events, reached = Ending(), _Events(observers), _Reached()
    let_trials_take_any_worker()
    try:
        with _own_interrupts():
            callbacks = [events, ending, _Forget()]  # in this order, in which Tune calls them
            _tuner(trainable, names, run / TUNE, callbacks, reached).fit()
    except RuntimeError as error:
        if not isinstance(error.__cause__, OutOfMemoryError):
            raise
        reached.clean_up()
        raise OutOfMemory(sorted(ending.running), str(error.__cause__)) from None
    finally:
        remove_tunes(run, EXPERIMENT)
    return ending


def _tuner(
    trainable: Any,
    names: Sequence[str],
    scratch: Path,
    callbacks: list[tune.Callback],
    reached: _Reached,
) -> tune.Tuner:
    return tune.Tuner(
        trainable,
        # By name: Tune copies, pickles and stores a trial's configuration many times.
        param_space={"array": tune.grid_search(list(names))},
        tune_config=tune.TuneConfig(reuse_actors=True, scheduler=reached),
        run_config=tune.RunConfig(
            name=EXPERIMENT,
            storage_path=str(scratch),
            callbacks=callbacks,
            stop=_OnceOfTheDisk(),
            # Records are our checkpoints; Tune's would only delay the reuse of actors.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=LOST_WORKERS),
            verbose=0,
        ),
    )


class _Reached(FIFOScheduler):
    """Keeps a reference to Tune's controller, which is passed to schedulers only."""

    def __init__(self) -> None:
        super().__init__()
        self._controller: Any = None

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The next trial in order."""
        self._controller = tune_controller
        chosen: Trial | None = super().choose_trial_to_run(tune_controller)
        return chosen

    def clean_up(self) -> None:
        """Ends the trials and releases their CPUs.

        Tune has tried that, but each worker that Ray killed together with the first interrupts it.
        """
        while self._controller is not None:
            try:
                self._controller.cleanup()
            except RuntimeError as error:
                if not isinstance(error.__cause__, OutOfMemoryError):
                    raise
            else:
                self._controller = None


@contextmanager
def _own_interrupts() -> Iterator[None]:
    """Restores the signal handlers, as Tune sets its own and leaves them behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handled = (*interrupts.SIGNALS, signal.SIGUSR1)
    ours = {number: signal.getsignal(number) for number in handled}
    try:
        yield
    finally:
        for number, handler in ours.items():
            if number == signal.SIGUSR1 or not interrupts.came():
                signal.signal(number, handler)


class _Events(tune.Callback):
    """Turns Tune's callbacks into events."""

    def __init__(self, observers: Observers) -> None:
        self._observers = observers
        self._unsaved = ""

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Tune pickles its callbacks to a file, and observers hold streams and sockets."""
        return {}

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Reports that a worker starts an array."""
        self._observers.see(ArrayBegan(trial.config["array"]))

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Reports that time has passed."""
        self._observers.see(Waited())

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Reports that a worker died; another one will take its array."""
        self._observers.see(ArrayLost(trial.config["array"], "its worker died; it begins again"))

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """Reports the progress of an array."""
        name = trial.config["array"]
        if rows := result["finished"]:
            self._observers.see(Recorded(rows))
        self._observers.see(Trained(name, result["epoch"], result["active"], result["done"]))
        if result["unsaved"] and not self._unsaved:
            self._unsaved = result["unsaved"]  # the same for every array, once a minute
            self._observers.see(Note(f"{self._unsaved}; {SAVED_BEFORE}"))


class Ending(tune.Callback):
    """Records how the trials ended.

    Attributes:
        lost: errors of the trials that did not end well, by array.
        running: arrays in training.
        disk: why the first failing worker could not write or read a file, or "".
    """

    def __init__(self) -> None:
        self.lost: dict[str, str] = {}
        self.running: set[str] = set()
        self.disk = ""

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Registers an array in training."""
        self.running.add(trial.config["array"])

    def _not_in_training(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Registers one that is no longer in training, or not until another worker takes it."""
        self.running.discard(trial.config["array"])

    on_trial_complete = on_trial_error = on_trial_recover = _not_in_training

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """Registers what a worker reports of its disk."""
        self.disk = self.disk or result["disk"]

    def setup(self, *args: Any, **info: Any) -> None:
        """Prints at once that SIGINT was received, as Tune's own handling of it takes seconds."""
        if threading.current_thread() is not threading.main_thread():
            return
        tunes = signal.getsignal(signal.SIGINT)  # it handles no other signal

        def answer(number: int, frame: FrameType | None) -> None:
            with interrupts.once():
                print("\nstopping; what is recorded stays (again: at once)", file=sys.stderr)
                if callable(tunes):
                    tunes(number, frame)

        for number in interrupts.SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # ignored under nohup
                signal.signal(number, answer)

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Registers the arrays whose workers died too many times."""
        for trial in trials:
            if trial.status == Trial.ERROR:
                error = str(trial.get_pickled_error() or trial.get_error() or "worker lost")
                self.lost[trial.config["array"]] = error


class _Forget(tune.Callback):
    """Empties each report once the other callbacks have seen it.

    Tune keeps the last report of every trial, and ten values or more of each number in it, as
    objects and as text. The rows of models, by far the largest part, are on disk already.
    """

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """Leaves what Tune needs."""
        for name in result.keys() - NEEDED:
            del result[name]


class _OnceOfTheDisk(tune.Stopper):
    """Ends all trials when one reports a failing disk, as the others' results would fail too.

    Separate from `Ending` because Tune copies its stopper.
    """

    def __init__(self) -> None:
        self._failed = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Handles a report; it never ends a single trial."""
        self._failed = self._failed or bool(result["disk"])
        return False

    def stop_all(self) -> bool:
        """Whether all trials have to end."""
        return self._failed
