"""Runs Ray Tune so that any ending leaves a reason and frees the cluster's resources."""

from __future__ import annotations

import signal
import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.exceptions import OutOfMemoryError
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler

from orchestrator.interface import interrupts
from orchestrator.nodes.ray_internals import let_trials_take_any_worker, show_work
from orchestrator.nodes.worker import Worker
from orchestrator.runs.layout import TUNE
from orchestrator.runs.ownership import remove_notes
from orchestrator.runs.records import Records
from orchestrator.training.events import Observers
from orchestrator.training.on_cluster import Cluster, held
from orchestrator.training.runners import (
    EXPERIMENT,
    LOST_WORKERS,
    Ending,
    OutOfMemory,
)
from orchestrator.training.study import MakeFit, Study, TrainingArray
from orchestrator.training.trials import Trial, prepare
from orchestrator.training.tune_callbacks import (
    ForgetReports,
    NoteEndings,
    PassEvents,
    StopOnDiskError,
)


class TuneRunner:
    """Runs the trials of a study on Ray Tune: `runners.Runner`."""

    def __init__(self, study: Study, records: Records, worker: Worker) -> None:
        self._study, self._worker = study, worker
        self._records, self._held = records.for_workers(), held(study)

    def run(self, arrays: Sequence[TrainingArray], observers: Observers) -> Ending:
        """Trains arrays until all are finished, or the user or a disk error stops them.

        Tune's files in the run directory are deleted at the end.

        Raises:
            OutOfMemory: Tune takes Ray's kill of a worker for its memory as an internal error, and
                ends with all running trials.
        """
        run = self._records.folder.parent
        endings, events, reached = NoteEndings(), PassEvents(observers), _Reached()
        let_trials_take_any_worker()
        try:
            with _own_interrupts():
                # in the order in which Tune calls them
                callbacks = [events, endings, ForgetReports()]
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
        self._arrays, self._cluster = arrays, Cluster(datasets)
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
            stop=StopOnDiskError(),
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
