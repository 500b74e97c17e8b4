"""Ray Tune over the arrays of a grid: what is missing is trained, what is recorded is not."""

from __future__ import annotations

import shutil
import signal
import sys
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial

from orchestrator import durable, interrupts
from orchestrator.arrays import TrainingArray
from orchestrator.checkpoints import FOLDER as CHECKPOINTS
from orchestrator.errors import UsageError
from orchestrator.ledger import FAILED, Records
from orchestrator.progress import Progress
from orchestrator.trials import ArrayTrial, MakeFit
from trainables.training.fit import ArrayFit

# Losing a machine is no fault of a model: its array starts again on another worker this often.
LOST_WORKERS = 3
STOPPING = (signal.SIGINT, signal.SIGTERM)
SCRATCH = ".tune"  # what Tune writes down of its trials, in the run directory; never read again


@dataclass(frozen=True, kw_only=True)
class Worker:
    """What one training worker is given; `memory` is in GiB, None for what its machine allows."""

    cpus: float
    gpus: float
    memory: float | None = None

    @property
    def device(self) -> str:
        return "cuda" if self.gpus else "cpu"

    @property
    def threads(self) -> int:
        return max(1, int(self.cpus))


def train(
    arrays: Sequence[TrainingArray],
    datasets: Mapping[Any, Any],
    targets: Mapping[str, tuple[str, str | None]],
    records: Records,
    worker: Worker,
    *,
    make_fit: MakeFit = ArrayFit,
    error: str = "val_mae",
) -> bool:
    """Trains the models that have no record and records each; False if the person stopped it.

    Args:
        arrays: of the whole grid.
        datasets: by what the arrays call their data.
        targets: task -> (name, unit).
        make_fit: begins the training of an array.
        error: column of the validation error, of which the progress shows the best.

    Raises:
        UsageError: a worker could not write or read a file; what is recorded stays.
    """
    keys = {key for array in arrays for key in array.keys.values()}
    recorded = records.recorded(keys)
    missing = [array for given in arrays if (array := _missing(given, recorded))]
    print(f"{len(keys)} models in the grid, {len(recorded)} recorded before", flush=True)
    run = records.folder.resolve().parent
    shutil.rmtree(run / SCRATCH, ignore_errors=True)  # of a driver that was killed
    if missing:
        weights = {array.id: array.cost(datasets[array.data]) for array in missing}
        # Longest first: no worker begins a long array when the others are about to end.
        ordered = sorted(missing, key=lambda array: -weights[array.id])
        before = [records.read(key) for key in sorted(recorded)]
        progress = Progress(ordered, weights, before=before, error=error)
        trainable = _trainable(ordered, datasets, targets, records, worker, make_fit)
        _train(trainable, ordered, targets, records, progress)
    # What is recorded decides, not what Tune says of its trials: of those that it never began or
    # stopped in the middle it reports nothing amiss.
    if records.recorded(keys) != keys:
        return False
    # Of workers that were killed: snapshots at their very end, and records half written.
    shutil.rmtree(run / CHECKPOINTS, ignore_errors=True)
    durable.remove_leftovers(records.folder)
    return True


def _train(
    trainable: Any,
    ordered: Sequence[TrainingArray],
    targets: Mapping[str, tuple[str, str | None]],
    records: Records,
    progress: Progress,
) -> None:
    """Runs Tune over the arrays; records as failed those whose workers died once too often."""
    records.folder.mkdir(parents=True, exist_ok=True)
    scratch = records.folder.resolve().parent / SCRATCH
    ending = _Ending()
    try:
        with _own_interrupts():
            _fit(trainable, [array.id for array in ordered], str(scratch), [progress, ending])
        if ending.disk:
            raise UsageError(
                f"{ending.disk}; what is recorded stays: make room or mend it, and run the same"
                " command again"
            )
        for array in ordered:
            if array.id in ending.lost:
                rows = _record_lost(records, array, targets, ending.lost[array.id])
                progress.finished(rows)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        progress.close()


def _missing(array: TrainingArray, recorded: Collection[str]) -> TrainingArray | None:
    """What of an array has no record."""
    left = [label for label, key in array.keys.items() if key not in recorded]
    return array.only(left) if left else None


def _trainable(
    ordered: Sequence[TrainingArray],
    datasets: Mapping[Any, Any],
    targets: Mapping[str, tuple[str, str | None]],
    records: Records,
    worker: Worker,
    make_fit: MakeFit,
) -> Any:
    trainable = tune.with_resources(
        tune.with_parameters(
            ArrayTrial,
            arrays={array.id: array for array in ordered},
            datasets={name: ray.put(dataset) for name, dataset in datasets.items()},
            records=replace(records, folder=records.folder.resolve()),
            targets=dict(targets),
            device=worker.device,
            threads=worker.threads,
            make_fit=make_fit,
        ),
        {"CPU": worker.cpus, "GPU": worker.gpus},
    )
    trainable.__qualname__ = ArrayTrial.__qualname__  # as the dashboard and `ps` show it
    return trainable


def _fit(trainable: Any, names: list[str], scratch: str, callbacks: list[tune.Callback]) -> None:
    tune.Tuner(
        trainable,
        # By name: Tune copies, pickles and keeps a trial's configuration many times over.
        param_space={"array": tune.grid_search(names)},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(
            name="hybrid_grid",
            storage_path=scratch,
            callbacks=callbacks,
            stop=_OnceOfTheDisk(),
            # Records are our checkpoints; Tune's would only slow the actors' reuse.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=LOST_WORKERS),
            verbose=0,
        ),
    ).fit()


@contextmanager
def _own_interrupts() -> Iterator[None]:
    """Takes signals back from Tune, which sets handlers and leaves them behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handled = (*STOPPING, signal.SIGUSR1)
    ours = {number: signal.getsignal(number) for number in handled}
    try:
        yield
    finally:
        for number, handler in ours.items():
            if number != signal.SIGINT or not interrupts.waits_for_second():
                signal.signal(number, handler)


class _Ending(tune.Callback):
    """How the trials ended.

    Attributes:
        lost: errors of those that did not end well, by array.
        disk: why the first could not write or read a file, or "".
    """

    def __init__(self) -> None:
        self.lost: dict[str, str] = {}
        self.disk = ""

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """Notes what a worker says of its disk."""
        self.disk = self.disk or result["disk"]

    def setup(self, *args: Any, **info: Any) -> None:
        """Lets Tune's own handler of SIGINT, which takes some seconds, say that it heard."""
        if threading.current_thread() is not threading.main_thread():
            return
        tunes = signal.getsignal(signal.SIGINT)  # it has none for SIGTERM

        def answer(number: int, frame: FrameType | None) -> None:
            print("\nstopping; what is recorded stays (again: at once)", file=sys.stderr)
            if callable(tunes):
                tunes(number, frame)  # which puts back the handler that was before
            interrupts.heard()

        for number in STOPPING:
            signal.signal(number, answer)

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Notes the arrays whose workers died once too often."""
        for trial in trials:
            if trial.status == Trial.ERROR:
                error = str(trial.get_pickled_error() or trial.get_error() or "worker lost")
                self.lost[trial.config["array"]] = error


class _OnceOfTheDisk(tune.Stopper):
    """Ends all trials when one says that its disk fails: the others' results would go the same way.

    Beside `_Ending` because Tune keeps a copy of its own.
    """

    def __init__(self) -> None:
        self._failed = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Takes a report in; it is no reason to end this one trial."""
        self._failed = self._failed or bool(result["disk"])
        return False

    def stop_all(self) -> bool:
        """Whether it is over."""
        return self._failed


def _record_lost(
    records: Records,
    array: TrainingArray,
    targets: Mapping[str, tuple[str, str | None]],
    error: str,
) -> list[dict[str, Any]]:
    target, unit = targets[array.task]
    died = f"its worker died {LOST_WORKERS + 1} times, most likely of memory"
    why = f"{died}: {' '.join(error.split())}"[:4000]
    lost = {"target": target, "unit": unit, "status": FAILED, "error": why}
    rows = [array.row(label) | lost for label in array.keys]
    return [row for row in rows if records.write(row, {})]
