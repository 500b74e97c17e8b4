"""What Ray Tune calls as it goes on: it passes events on, notes endings, and forgets reports."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from ray import tune
from ray.tune.experiment import Trial as TuneTrial

from orchestrator.interface import interrupts
from orchestrator.training.events import ArrayBegan, ArrayLost, Observers, Waited
from orchestrator.training.runners import DIED, Reports, say_stopping

# What Tune reads of a report after ours: a trial without "done" it would announce on the terminal,
# and its loggers, which may come after ours, number their lines by "training_iteration".
NEEDED = {"trial_id", "node_ip", "pid", "done", "training_iteration"}


class PassEvents(tune.Callback):
    """Turns Tune's callbacks into events."""

    def __init__(self, observers: Observers) -> None:
        self._observers, self._reports = observers, Reports(observers)

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Tune pickles its callbacks to a file, and observers hold streams and sockets."""
        return {}

    def on_trial_start(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        """Reports that a worker starts an array."""
        self._observers.see(ArrayBegan(trial.config["array"]))

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        """Reports that time has passed."""
        self._observers.see(Waited())

    def on_trial_recover(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        """Reports that a worker died; another one will take its array."""
        self._observers.see(ArrayLost(trial.config["array"], DIED))

    def on_trial_result(
        self,
        iteration: int,
        trials: list[TuneTrial],
        trial: TuneTrial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """Reports the progress of an array."""
        self._reports.see(trial.config["array"], result)


class NoteEndings(tune.Callback):
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
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        """Registers an array in training."""
        self.running.add(trial.config["array"])

    def _not_in_training(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        """Registers one that is no longer in training, or not until another worker takes it."""
        self.running.discard(trial.config["array"])

    on_trial_complete = on_trial_error = on_trial_recover = _not_in_training

    def on_trial_result(
        self,
        iteration: int,
        trials: list[TuneTrial],
        trial: TuneTrial,
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
                say_stopping()
                if callable(tunes):
                    tunes(number, frame)

        for number in interrupts.SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # ignored under nohup
                signal.signal(number, answer)

    def on_experiment_end(self, trials: list[TuneTrial], **info: Any) -> None:
        """Registers the arrays whose workers died too many times."""
        for trial in trials:
            if trial.status == TuneTrial.ERROR:
                error = str(trial.get_pickled_error() or trial.get_error() or "worker lost")
                self.lost[trial.config["array"]] = error


class ForgetReports(tune.Callback):
    """Empties each report once the other callbacks have seen it.

    Tune keeps the last report of every trial, and ten values or more of each number in it, as
    objects and as text. The rows of models, by far the largest part, are on disk already.
    """

    def on_trial_result(
        self,
        iteration: int,
        trials: list[TuneTrial],
        trial: TuneTrial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """Leaves what Tune needs."""
        for name in result.keys() - NEEDED:
            del result[name]


class StopOnDiskError(tune.Stopper):
    """Ends all trials when one reports a failing disk, as the others' results would fail too.

    Separate from `NoteEndings` because Tune copies its stopper.
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
