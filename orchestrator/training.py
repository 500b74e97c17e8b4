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

from orchestrator.grid import Cell, GridArray, arrays
from orchestrator.ledger import FAILED, Records
from orchestrator.progress import Progress
from orchestrator.trials import ArrayTrial, MakeFit
from trainables.crystals.dataset import Dataset
from trainables.training.fit import ArrayFit

# Losing a machine is no fault of a model: its array starts again on another worker this often.
LOST_WORKERS = 3
# Relative cost of an epoch: a + b·width floating-point work an edge, as measured on one core.
EDGE_COST = {"cgcnn": (4.0, 0.25), "megnet": (30.0, 0.02)}


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
    cells: Sequence[tuple[Cell, str]],
    datasets: Mapping[tuple[str, str], Dataset],
    targets: Mapping[str, tuple[str, str | None]],
    records: Records,
    worker: Worker,
    *,
    make_fit: MakeFit = ArrayFit,
) -> bool:
    """Trains the cells that have no record and records each; False if the person stopped it.

    Args:
        cells: of the whole grid, with their keys.
        datasets: by (task, backbone).
        targets: task -> (name, unit).
        make_fit: begins the training of an array.
    """
    recorded = records.recorded(key for _, key in cells)
    missing = arrays((cell, key) for cell, key in cells if key not in recorded)
    print(f"{len(cells)} models in the grid, {len(recorded)} recorded before", flush=True)
    if not missing:
        return True
    weights = {
        array.id: _cost(array, datasets[array.task, array.spec.backbone]) for array in missing
    }
    # Longest first: no worker begins a long array when the others are about to end.
    ordered = sorted(missing, key=lambda array: -weights[array.id])
    before = [records.read(key) for key in sorted(recorded)]
    progress = Progress(ordered, weights, before=before)
    trainable = _trainable(ordered, datasets, targets, records, worker, make_fit)
    records.folder.mkdir(parents=True, exist_ok=True)
    ending = _Ending()
    scratch = tempfile.mkdtemp(prefix="elemgrid-tune-")
    try:
        with _own_interrupts():
            _fit(trainable, [array.id for array in ordered], scratch, [progress, ending])
        for array in ordered:
            if array.id in ending.lost:
                rows = _record_lost(records, array, targets, ending.lost[array.id])
                progress.finished(rows)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        progress.close()
    # What is recorded decides, not what Tune says of its trials: of those that it never began or
    # stopped in the middle it reports nothing amiss.
    keys = {key for _, key in cells}
    return records.recorded(keys) == keys


def _trainable(
    ordered: Sequence[GridArray],
    datasets: Mapping[tuple[str, str], Dataset],
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
            records=str(records.folder.resolve()),
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
    """How the trials ended; `lost` has the errors of those that did not end well, by array."""

    def __init__(self) -> None:
        self.lost: dict[str, str] = {}

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
                self.lost[trial.config["array"]] = error


def _cost(array: GridArray, dataset: Dataset) -> float:
    fixed, wide = EDGE_COST[array.spec.backbone]
    width = array.spec.conv_width or array.spec.dim
    models = len(array.spec.mixings)
    return dataset.graphs.edges * (fixed + wide * width) * models * array.spec.recipe.epochs


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
