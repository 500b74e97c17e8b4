"""Ray Tune over the arrays of a grid: what is missing is trained, what is recorded is not."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
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
    recorded: int,
    total: int,
) -> bool:
    """Trains the arrays and records each model; False if the person stopped it.

    Args:
        arrays: only what is missing.
        datasets: by (task, backbone).
        targets: task -> (name, unit).
        recorded, total: models of the whole grid, for the progress line.
    """
    weights = {
        array.id: _cost(array, datasets[array.task, array.spec.backbone]) for array in arrays
    }
    # Longest first: no worker begins a long array when the others are about to end.
    ordered = sorted(arrays, key=lambda array: -weights[array.id])
    progress = Progress(ordered, weights, recorded=recorded, total=total)
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
    records.folder.mkdir(parents=True, exist_ok=True)
    ending = _Ending()
    scratch = tempfile.mkdtemp(prefix="elemgrid-tune-")
    try:
        tune.Tuner(
            trainable,
            param_space={"array": tune.grid_search(ordered)},
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(
                name="hybrid_grid",
                storage_path=scratch,
                callbacks=[progress, ending],
                # Records are our checkpoints; Tune's would only slow the actors' reuse.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                failure_config=tune.FailureConfig(max_failures=LOST_WORKERS),
                verbose=0,
            ),
        ).fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    progress.close()
    for array, error in ending.lost:
        _record_lost(records, array, targets, error)
    return not ending.stopped


class _Ending(tune.Callback):
    """How the trials ended."""

    def __init__(self) -> None:
        self.stopped = False
        self.lost: list[tuple[GridArray, str]] = []

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Tells trials that were stopped by the person from those whose workers died."""
        for trial in trials:
            if trial.status == Trial.ERROR:
                error = str(trial.get_pickled_error() or trial.get_error() or "worker lost")
                self.lost.append((trial.config["array"], error))
            elif trial.status != Trial.TERMINATED:
                self.stopped = True


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
) -> None:
    spec = array.spec
    target, unit = targets[array.task]
    for mixing, key in spec.mixings.items():
        row = {
            "key": key,
            "task": array.task,
            "backbone": spec.backbone,
            "dim": spec.dim,
            "mixing": mixing,
            "fold": spec.fold,
            "seed": spec.seed,
            "recipe": spec.recipe.name,
            "target": target,
            "unit": unit,
            "array": array.id,
            "status": FAILED,
            "error": f"its worker died {LOST_WORKERS + 1} times, most likely of memory: {error}"[
                :4000
            ],
        }
        records.write(row, {})
