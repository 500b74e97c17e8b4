"""One Ray Tune trial trains one array; the actor is then given the next."""

from __future__ import annotations

import dataclasses
import json
import platform
import time
import traceback
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from orchestrator.grid import GridArray
from orchestrator.ledger import DIVERGED, DONE, FAILED, Records
from trainables.crystals.dataset import Dataset
from trainables.training.fit import ArrayFit, ArraySpec
from trainables.training.outcome import Outcome

SECONDS_PER_REPORT = 3.0


def versions() -> dict[str, str]:
    """What a result depends on beside code and data."""
    packages = ("torch", "numpy", "ray", "pymatgen", "scikit-learn", "pyarrow")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


class ArrayTrial(tune.Trainable):
    """Trains the members of `config["array"]` and records each as it finishes.

    Args (by `tune.with_parameters`):
        datasets: (task, backbone) -> reference to a `Dataset`, fetched when first needed.
        records: folder of the run's records.
        targets: task -> (name, unit) of the target.
        device: "cpu" or "cuda".
    """

    def setup(  # type: ignore[override]  # Tune passes what `with_parameters` was given
        self,
        config: dict[str, Any],
        datasets: Mapping[tuple[str, str], ray.ObjectRef[Dataset]],
        records: str,
        targets: Mapping[str, tuple[str, str | None]],
        device: str,
        threads: int,
    ) -> None:
        # Torch forgets OMP_NUM_THREADS when it was imported before Ray set it.
        torch.set_num_threads(threads)
        self._datasets, self._targets, self._device = datasets, targets, device
        self._records = Records(Path(records))
        self._held: tuple[tuple[str, str], Dataset] | None = None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes the next array; data set and process stay warm."""
        self._array: GridArray = new_config["array"]
        self._fit: ArrayFit | None = None
        return True

    def step(self) -> dict[str, Any]:
        """Trains for some seconds; reports the models that finished meanwhile."""
        finished: list[dict[str, Any]] = []
        start = time.perf_counter()
        try:
            if self._fit is None:
                remaining = self._remaining()
                if not remaining.mixings:
                    return {"done": True, "epoch": 0, "active": 0, "finished": []}
                self._fit = ArrayFit(remaining, self._dataset(), self._device)
            while not self._fit.finished and time.perf_counter() - start < SECONDS_PER_REPORT:
                for outcome in self._fit.advance():
                    finished.append(self._record(outcome))
        except Exception as error:  # a model that raises is a record; the rest of the grid goes on
            finished.extend(self._fail(error))
            return {"done": True, "epoch": 0, "active": 0, "finished": finished}
        training = self._fit.training
        return {
            "done": self._fit.finished,
            "epoch": training.epoch,
            "active": len(training.active),
            "finished": finished,
        }

    def _remaining(self) -> ArraySpec:
        """The array without what an earlier, interrupted try has recorded."""
        spec = self._array.spec
        recorded = self._records.recorded(spec.mixings.values())
        left = {label: key for label, key in spec.mixings.items() if key not in recorded}
        return dataclasses.replace(spec, mixings=left)

    def _dataset(self) -> Dataset:
        name = (self._array.task, self._array.spec.backbone)
        if self._held is None or self._held[0] != name:
            self._held = None  # let go of the old one before the new one comes
            self._held = (name, ray.get(self._datasets[name]))
        return self._held[1]

    def _row(self, key: str, mixing: str) -> dict[str, Any]:
        spec = self._array.spec
        target, unit = self._targets[self._array.task]
        return {
            "key": key,
            "task": self._array.task,
            "backbone": spec.backbone,
            "dim": spec.dim,
            "mixing": mixing,
            "fold": spec.fold,
            "seed": spec.seed,
            "recipe": spec.recipe.name,
            "target": target,
            "unit": unit,
            "array": self._array.id,
            "device": _device_name(self._device),
            "versions": json.dumps(versions()),
        }

    def _record(self, outcome: Outcome) -> dict[str, Any]:
        course = outcome.course
        assert self._fit is not None
        split = self._fit.split
        row = self._row(course.member.key, course.member.mixing.label) | {
            "status": DIVERGED if course.diverged else DONE,
            "epochs": course.epochs,
            "best_epoch": course.best_epoch,
            "seconds": round(course.seconds, 4),
            "n_train": len(split.train),
            "n_val": len(split.validation),
            "n_test": len(split.test),
            "parameters": outcome.parameters,
            "error": "the loss became NaN or infinite" if course.diverged else "",
            **outcome.metrics,
        }
        self._records.write(row, outcome.arrays)
        return row

    def _fail(self, error: Exception) -> list[dict[str, Any]]:
        text = "".join(traceback.format_exception(error))[-4000:]
        rows = []
        spec = self._array.spec
        recorded = self._records.recorded(spec.mixings.values())
        for mixing, key in spec.mixings.items():
            if key not in recorded:
                row = self._row(key, mixing) | {"status": FAILED, "error": text}
                self._records.write(row, {})
                rows.append(row)
        return rows


@lru_cache
def _device_name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"cpu ({platform.machine()})"
