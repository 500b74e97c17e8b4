"""Ray Tune over the arrays of a grid: what is missing is trained, what is recorded is not."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial

from orchestrator.grid import GridArray
from orchestrator.ledger import FAILED, Records
from orchestrator.progress import Progress
from orchestrator.trials import ArrayTrial
from trainables.crystals.dataset import Dataset

# Losing a machine is no fault of a model: its array starts again on another worker this often.
LOST_WORKERS = 3
# Relative cost of an epoch: a + b·width floating-point work an edge, as measured on one core.
EDGE_COST = {"cgcnn": (4.0, 0.25), "megnet": (24.0, 0.02)}


@dataclass(frozen=True, kw_only=True)
class Worker:
    """What one training worker is given."""

    cpus: float
    gpus: float

    @property
    def device(self) -> str:
        return "cuda" if self.gpus else "cpu"

    @property
    def threads(self) -> int:
        return max(1, int(self.cpus))


def train(
    arrays: Sequence[GridArray],
    datasets: Mapping[tuple[str, str], Dataset],
    targets: Mapping[str, tuple[str, str | None]],
    records: Records,
    worker: Worker,
    *,
    before: Sequence[Mapping[str, Any]],
) -> bool:
    """Trains the arrays and records each model; False if the person stopped it.

    Args:
        arrays: only what is missing.
        datasets: by (task, backbone).
        targets: task -> (name, unit).
        before: rows of the grid's models that are recorded already, for the progress line.
    """
    weights = {
        array.id: _cost(array, datasets[array.task, array.spec.backbone]) for array in arrays
    }
    # Longest first: no worker begins a long array when the others are about to end.
    ordered = sorted(arrays, key=lambda array: -weights[array.id])
    progress = Progress(ordered, weights, before=before)
    trainable = tune.with_resources(
        tune.with_parameters(
            ArrayTrial,
            datasets={name: ray.put(dataset) for name, dataset in datasets.items()},
            records=str(records.folder.resolve()),
            targets=dict(targets),
            device=worker.device,
            threads=worker.threads,
        ),
        {"CPU": worker.cpus, "GPU": worker.gpus},
    )
    trainable.__qualname__ = ArrayTrial.__qualname__  # as the dashboard and `ps` show it
    records.folder.mkdir(parents=True, exist_ok=True)
    ending = _Ending()
    scratch = tempfile.mkdtemp(prefix="elemgrid-tune-")
    try:
        with _own_interrupts():
            _fit(trainable, ordered, scratch, [progress, ending])
        for array, error in ending.lost:
            progress.finished(_record_lost(records, array, targets, error))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        progress.close()
    # What is recorded decides, not what Tune says of its trials: of those that it never began or
    # stopped in the middle it reports nothing amiss.
    keys = {key for array in arrays for key in array.spec.mixings.values()}
    return records.recorded(keys) == keys


def _fit(
    trainable: Any, arrays: Sequence[GridArray], scratch: str, callbacks: list[tune.Callback]
) -> None:
    tune.Tuner(
        trainable,
        param_space={"array": tune.grid_search(list(arrays))},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(
            name="hybrid_grid",
            storage_path=scratch,
            callbacks=callbacks,
            # Records are our checkpoints; Tune's would only slow the actors' reuse.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=LOST_WORKERS),
            verbose=0,
        ),
    ).fit()


@contextmanager
def _own_interrupts() -> Iterator[None]:
    """Takes SIGINT back from Tune, which sets a handler and leaves it behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1)}
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)


class _Ending(tune.Callback):
    """How the trials ended."""

    def __init__(self) -> None:
        self.lost: list[tuple[GridArray, str]] = []

    def setup(self, *args: Any, **info: Any) -> None:
        """Lets Tune's own handler of SIGINT, which takes some seconds, say that it heard."""
        if threading.current_thread() is not threading.main_thread():
            return
        tunes = signal.getsignal(signal.SIGINT)

        def answer(number: int, frame: FrameType | None) -> None:
            print("\nstopping; what is recorded stays (again: at once)", file=sys.stderr)
            if callable(tunes):
                tunes(number, frame)

        signal.signal(signal.SIGINT, answer)

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Notes the arrays whose workers died once too often."""
        for trial in trials:
            if trial.status == Trial.ERROR:
                error = str(trial.get_pickled_error() or trial.get_error() or "worker lost")
                self.lost.append((trial.config["array"], error))


def _cost(array: GridArray, dataset: Dataset) -> float:
    fixed, wide = EDGE_COST[array.spec.backbone]
    width = array.spec.conv_width or array.spec.dim
    models = len(array.spec.mixings)
    return len(dataset.graphs.dst) * (fixed + wide * width) * models * array.spec.recipe.epochs


def _record_lost(
    records: Records,
    array: GridArray,
    targets: Mapping[str, tuple[str, str | None]],
    error: str,
) -> list[dict[str, Any]]:
    target, unit = targets[array.task]
    died = f"its worker died {LOST_WORKERS + 1} times, most likely of memory"
    why = f"{died}: {' '.join(error.split())}"[:4000]
    lost = {"target": target, "unit": unit, "status": FAILED, "error": why}
    rows = [array.row(mixing) | lost for mixing in array.spec.mixings]
    return [row for row in rows if records.write(row, {})]
