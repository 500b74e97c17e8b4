"""Grids of models that train nothing, which leaves the cost of the grid itself.

python -m benchmarks.instant     # then one request per line, as benchmarks/child.py sends
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray import tune

from benchmarks.inputs import featurised
from benchmarks.peers.serving import serve
from benchmarks.watch import Watch
from orchestrator.grid.arrays import GridArray, arrays
from orchestrator.grid.cells import cells
from orchestrator.grid.request import build_config
from orchestrator.nodes import cluster
from orchestrator.nodes.worker import Worker
from orchestrator.runs import durable
from orchestrator.runs.ledger import compile_ledger
from orchestrator.runs.records import Records
from orchestrator.training.study import Study
from orchestrator.training.train import train
from trainables.crystals.ionic import IonicSource
from trainables.representations.dataset import Dataset
from trainables.targets.base import Target
from trainables.training.array import Member
from trainables.training.fit import ArrayFit
from trainables.training.outcome import Outcome
from trainables.training.specification import ArraySpec, ModelSpec

CRYSTALS = 1265  # as in phonons: they determine the size of a record
THOUSAND = 1000
Samples = Mapping[tuple[str, int], Outcome]  # by backbone and dimension


class InstantFit:
    """An array whose models are done at once, each with the results of a real one."""

    def __init__(self, samples: Samples, spec: ArraySpec, dataset: Dataset, device: str) -> None:
        self._sample, self._spec = samples[spec.backbone, spec.dim], spec
        self.finished = False

    @property
    def epoch(self) -> int:
        """0, as there is only one epoch."""
        return int(self.finished)

    def save(self) -> bytes:
        """Empty, as there is no state."""
        return b""

    def load(self, content: bytes) -> None:
        """Does nothing, as there is no state."""

    def advance(self) -> Iterator[Outcome]:
        """The only epoch."""
        self.finished = True
        for label, key in self._spec.mixings.items():
            member = Member(key=key, label=label, seed=self._spec.seed)
            history = dataclasses.replace(self._sample.history, member=member)
            yield dataclasses.replace(self._sample, history=history)


def embedded(backbone: str, crystals: int) -> Dataset:
    """The first embedded crystals, featurised."""
    return featurised(itertools.islice(IonicSource().entries(), crystals), backbone)


def sample(spec: ArraySpec, dataset: Dataset) -> Outcome:
    """The results of a model trained for one epoch, with curves of the recipe's length."""
    recipe = dataclasses.replace(spec.recipe, epochs=1)
    (outcome,) = ArrayFit(dataclasses.replace(spec, recipe=recipe), dataset).advance()
    arrays = {
        name: np.resize(value, spec.recipe.epochs) if name.startswith("curve/") else value
        for name, value in outcome.arrays.items()
    }
    return dataclasses.replace(outcome, arrays=arrays)


def _alone(model: ModelSpec) -> ArraySpec:
    """A model of equal size, in an array of its own."""
    return ArraySpec.of([dataclasses.replace(model, mixing="0", fold=0)])


class InstantGrid:
    """A grid of the paper's shape, with the embedded data set as every task.

    Args:
        tasks: number of data sets; 140 models for each and each backbone.
        crystals: of each.
        narrower: other fields of the configuration.
    """

    def __init__(
        self,
        tasks: int,
        backbones: Sequence[str] = ("cgcnn", "megnet"),
        *,
        crystals: int = CRYSTALS,
        **narrower: Any,
    ) -> None:
        names = tuple(f"task{number}" for number in range(tasks))
        chosen = {"tasks": names, "backbones": tuple(backbones), **narrower}
        self.config = build_config("paper", chosen)
        data = {backbone: embedded(backbone, crystals) for backbone in backbones}
        self.datasets: dict[tuple[str, str], Dataset] = {
            (task, backbone): data[backbone] for task in names for backbone in backbones
        }
        target = Target(name="lattice_energy", unit=None)
        fingerprints = {name: "/".join(name) for name in self.datasets}
        self.cells = cells(self.config, dict.fromkeys(names, target), fingerprints)
        models = {(cell.spec.backbone, cell.spec.dim): cell.spec for cell in self.cells}
        self.samples: dict[tuple[str, int], Outcome] = {
            name: sample(_alone(model), data[name[0]]) for name, model in models.items()
        }

    def train(self, run: Path) -> bool:
        """Does all that the driver does between featurised data and ledger; Ray must be running."""
        records = Records(run / "records")
        study = Study(
            arrays=arrays(self.cells),
            data=self.datasets,
            naming=GridArray,
            make_fit=partial(InstantFit, self.samples),
        )
        done = train(study, records, Worker(cpus=1, gpus=0))
        table = compile_ledger(records, {cell.key: cell.task for cell in self.cells})
        durable.write_parquet(run / "ledger.parquet", table)
        return done


def ours(*, tasks: int, again: int = 1, **narrower: Any) -> dict[str, Any]:
    """A grid on a Ray runtime of its own, and then the last of its models again, `again` times."""
    grid = InstantGrid(tasks, **narrower)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        start = time.perf_counter()
        with cluster.connected(None, 1):
            begin, moment = time.perf_counter(), time.time()
            with Watch() as watch:
                assert grid.train(run)
            end = time.perf_counter()
            moments = record_times(run)
            return {
                "models": len(grid.cells),
                "seconds": end - begin,
                "start_seconds": begin - start,
                "all_cpu_seconds": watch.cpu_seconds,
                "driver_growth": watch.peak - watch.begin,
                "files": len(list((run / "records").glob("[!.]*"))),
                "thousands": thousands(moments),
                "first_record": moments[0] - moment,
                "resumed_first_record": [resumed(grid, run) for _ in range(again)],
            }


def resumed(grid: InstantGrid, run: Path) -> float:
    """Seconds until the last model of a finished grid is recorded after its record was deleted."""
    Records(run / "records").forget(grid.cells[-1].key)
    begin = time.time()
    assert grid.train(run)
    return record_times(run)[-1] - begin


def plain(*, trials: int) -> dict[str, Any]:
    """Plain Ray Tune: one trial per model, which reports once and ends."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        ray.init(address="local", dashboard_host="127.0.0.1", logging_level=logging.ERROR)
        begin = time.perf_counter()
        with Watch() as watch:
            results = tune.Tuner(
                lambda config: {"val_mae": 0.0},
                param_space={"model": tune.grid_search(list(range(trials)))},
                run_config=tune.RunConfig(storage_path=folder, name="plain", verbose=0),
            ).fit()
        end = time.perf_counter()
        assert len(results) == trials and not results.errors
        ray.shutdown()
        return {
            "models": trials,
            "seconds": end - begin,
            "start_seconds": begin - start,
            "all_cpu_seconds": watch.cpu_seconds,
            "driver_growth": watch.peak - watch.begin,
            "files": sum(path.is_file() for path in Path(folder).rglob("*")),
        }


def record_times(run: Path) -> list[float]:
    """When each model was recorded, in order."""
    return sorted(path.stat().st_mtime for path in (run / "records").glob("*.json"))


def thousands(moments: Sequence[float]) -> list[float]:
    """Seconds for each thousand of the models."""
    ends = range(THOUSAND, len(moments), THOUSAND)
    return [moments[end] - moments[end - THOUSAND] for end in ends]


if __name__ == "__main__":
    serve({"ours": ours, "plain": plain})
