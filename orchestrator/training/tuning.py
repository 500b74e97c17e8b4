"""Runs Ray Tune so that any ending leaves a reason and frees the cluster's resources."""

from __future__ import annotations

import signal
import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import ray
from ray import tune
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler

from orchestrator.interface import interrupts
from orchestrator.nodes.ray_internals import let_trials_take_any_worker, show_work
from orchestrator.nodes.worker import Worker
from orchestrator.runs.layout import TUNE
from orchestrator.runs.ownership import remove_notes
from orchestrator.runs.records import Records
from orchestrator.training.events import ArrayBegan, ArrayLost, Observers, Waited
from orchestrator.training.runners import (
    DIED,
    EXPERIMENT,
    LOST_WORKERS,
    Ending,
    OutOfMemory,
    Reports,
    say_stopping,
)
from orchestrator.training.study import MakeFit, Study, TrainingArray
from orchestrator.training.trials import Trial, prepare

# What Tune reads of a report after ours: a trial without "done" it would announce on the terminal,
# and its loggers, which may come after ours, number their lines by "training_iteration".
NEEDED = {"trial_id", "node_ip", "pid", "done", "training_iteration"}


class TuneRunner:
    """Runs the trials of a study on Ray Tune: `runners.Runner`."""

    def __init__(self, study: Study, records: Records, worker: Worker) -> None:
        self._study, self._worker = study, worker
        # without the questions of the driver, which hold the whole study
        self._records = Records(records.folder.resolve(), records.schema, records.lease)
        self._held = {name: ray.put(dataset) for name, dataset in study.data.items()}

    def run(self, arrays: Sequence[TrainingArray], observers: Observers) -> Ending:
        """Trains arrays until all are finished, or the user or a disk error stops them.

        Tune's files in the run directory are deleted at the end.

        Raises:
            OutOfMemory: Tune takes Ray's kill of a worker for its memory as an internal error, and
                ends with all running trials.
        """
        run = self._records.folder.parent
        endings, events, reached = _Endings(), _Events(observers), _Reached()
        let_trials_take_any_worker()
        try:
            with _own_interrupts():
                callbacks = [events, endings, _Forget()]  # in this order, in which Tune calls them
                names = [array.id for array in arrays]
                _tuner(self._trainable(arrays), names, run / TUNE, callbacks, reached).fit()
        except RuntimeError as error:
            if not isinstance(error.__cause__, OutOfMemoryError):
                raise
            reached.clean_up()
            running = sorted(endings.running)
            raise OutOfMemory(running, str(error.__cause__)) from None
        finally:
            remove_notes(run, EXPERIMENT)
        return Ending(endings.lost, endings.disk)

    def _trainable(self, arrays: Sequence[TrainingArray]) -> Any:
        trainable = tune.with_resources(
            tune.with_parameters(
                ArrayTrial,
                arrays={array.id: array for array in arrays},
                datasets=dict(self._held),
                records=self._records,
                device=self._worker.device,
                threads=self._worker.threads,
                make_fit=self._study.make_fit,
            ),
            {"CPU": self._worker.cpus, "GPU": self._worker.gpus},
        )
        trainable.__qualname__ = ArrayTrial.__qualname__  # for the dashboard and `ps`
        return trainable


class ArrayTrial(tune.Trainable):
    """Trains the array that `config["array"]` names; its actor is then reused for the next.

    Args (by `tune.with_parameters`):
        arrays: by name.
        datasets: array's `data` -> reference to the data set, fetched on first use.
        records: the run's.
        device: "cpu" or "cuda".
        threads: of torch.
        make_fit: starts the training of an array.
    """

    def setup(  # type: ignore[override]  # Tune passes what `with_parameters` was given
        self,
        config: dict[str, Any],
        arrays: Mapping[str, TrainingArray],
        datasets: Mapping[Hashable, ray.ObjectRef],
        records: Records,
        device: str,
        threads: int,
        make_fit: MakeFit,
    ) -> None:
        prepare(threads)
        self._arrays, self._cluster = arrays, _Cluster(datasets)
        self._records, self._device, self._make_fit = records, device, make_fit
        self.reset_config(config)

    # No __repr__ to name the actor by: with one of its own, Ray 2.60 fails to load the class in a
    # cluster where an earlier job's workers had it (it sets __signature__ on object's).

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Switches to the next array; data set and process stay loaded."""
        self._array = self._arrays[new_config["array"]]
        self._trial = Trial(self._array, self._cluster, self._records, self._device, self._make_fit)
        return True

    def step(self) -> dict[str, Any]:
        """Trains for some seconds; the report of `Trial.step`.

        Raises:
            RayError: the cluster lost the data; Tune then starts the trial again.
        """
        show_work(self._array.id)
        return self._trial.step()

    def cleanup(self) -> None:
        """Writes a snapshot of an array in training: Tune waits some seconds for that."""
        self._trial.save()


class _Cluster:
    """The cluster as a trial sees it: `trials.Surroundings`."""

    def __init__(self, datasets: Mapping[Hashable, ray.ObjectRef]) -> None:
        self._datasets = datasets
        self._held: tuple[Hashable, Any] | None = None

    def dataset(self, name: Hashable) -> Any:
        """Fetches a data set, and keeps it until another one is asked for."""
        if self._held is None or self._held[0] != name:
            self._held = None  # release the old one before loading the new one
            self._held = (name, ray.get(self._datasets[name]))
        return self._held[1]

    def is_lost(self, error: Exception) -> bool:
        """An error of a task, such as one that reads data, counts as if it were raised here."""
        return isinstance(error, RayError) and not isinstance(error, RayTaskError)

    def without_folder(self) -> str:
        """A late node may not share the run's disk."""
        return f"not on node {ray.util.get_node_ip_address()}; all nodes must share --run"


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

    def choose_trial_to_run(self, tune_controller: Any) -> TuneTrial | None:
        """The next trial in order."""
        self._controller = tune_controller
        chosen: TuneTrial | None = super().choose_trial_to_run(tune_controller)
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


class _Endings(tune.Callback):
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


class _Forget(tune.Callback):
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
