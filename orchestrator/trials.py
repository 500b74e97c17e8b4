"""One Ray Tune trial trains one array; the actor is then given the next."""

from __future__ import annotations

import dataclasses
import json
import platform
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import ray
import torch
from ray import tune

from orchestrator.grid import GridArray
from orchestrator.ledger import DIVERGED, DONE, FAILED, Records
from trainables.crystals.dataset import Dataset
from trainables.training.fit import ArraySpec
from trainables.training.outcome import Outcome
from trainables.training.split import Split

SECONDS_PER_REPORT = 3.0


def versions() -> dict[str, str]:
    """What a result depends on beside code and data."""
    packages = ("torch", "numpy", "ray", "pymatgen", "scikit-learn", "pyarrow")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


class Fit(Protocol):
    """An array in training, as `trainables.training.fit.ArrayFit` is one."""

    @property
    def split(self) -> Split: ...

    @property
    def finished(self) -> bool: ...

    def advance(self) -> Iterable[Outcome]:
        """One epoch; the outcomes of the models that it was the last for."""


MakeFit = Callable[[ArraySpec, Dataset, str], Fit]  # of an array, its data set and the device


class ArrayTrial(tune.Trainable):
    """Trains the members of the array that `config["array"]` names; records each as it finishes.

    Args (by `tune.with_parameters`):
        arrays: by name.
        datasets: (task, backbone) -> reference to a `Dataset`, fetched when first needed.
        records: folder of the run's records.
        targets: task -> (name, unit) of the target.
        device: "cpu" or "cuda".
        threads: of torch.
        make_fit: begins the training of an array.
    """

    def setup(  # type: ignore[override]  # Tune passes what `with_parameters` was given
        self,
        config: dict[str, Any],
        arrays: Mapping[str, GridArray],
        datasets: Mapping[tuple[str, str], ray.ObjectRef[Dataset]],
        records: str,
        targets: Mapping[str, tuple[str, str | None]],
        device: str,
        threads: int,
        make_fit: MakeFit,
    ) -> None:
        # Torch forgets OMP_NUM_THREADS when it was imported before Ray set it.
        torch.set_num_threads(threads)
        self._arrays, self._datasets, self._targets = arrays, datasets, targets
        self._device, self._make_fit = device, make_fit
        self._records = Records(Path(records))
        self._held: tuple[tuple[str, str], Dataset] | None = None
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes the next array; data set and process stay warm."""
        self._array = self._arrays[new_config["array"]]
        self._waiting: list[ArraySpec] | None = None
        self._fit: Fit | None = None
        self._epochs = self._left = 0  # of the fit: done, and models that go on
        return True

    def step(self) -> dict[str, Any]:
        """Trains for some seconds; reports the models that finished meanwhile."""
        finished: list[dict[str, Any]] = []
        start = time.perf_counter()
        if self._waiting is None:
            self._waiting = self._unrecorded(self._array.spec)
        while self._waiting and time.perf_counter() - start < SECONDS_PER_REPORT:
            try:
                finished.extend(self._epoch(self._waiting))
            except Exception as error:  # a model that raises is a record; the grid goes on
                finished.extend(self._give_up(self._waiting, error))
        return {
            "done": not self._waiting,
            "epoch": self._epochs if self._fit else 0,
            "active": self._left if self._fit else 0,
            "finished": finished,
        }

    def _unrecorded(self, spec: ArraySpec) -> list[ArraySpec]:
        """The array without what is recorded already; nothing if that is all of it."""
        recorded = self._records.recorded(spec.mixings.values())
        left = {label: key for label, key in spec.mixings.items() if key not in recorded}
        return [dataclasses.replace(spec, mixings=left)] if left else []

    def _epoch(self, waiting: list[ArraySpec]) -> list[dict[str, Any]]:
        """One epoch of the first waiting array; the rows of the models that it was the last for."""
        if self._fit is None:
            self._fit = self._make_fit(waiting[0], self._dataset(), self._device)
            self._epochs, self._left = 0, len(waiting[0].mixings)
        rows = self._record(self._fit.split, list(self._fit.advance()))
        self._epochs += 1
        self._left -= len(rows)
        if self._fit.finished:
            waiting.pop(0)
            self._fit = None
        return rows

    def _give_up(self, waiting: list[ArraySpec], error: Exception) -> list[dict[str, Any]]:
        """After an error every model gets a try of its own; one that fails alone has failed."""
        self._fit = None
        left = self._unrecorded(waiting.pop(0))
        mixings = left[0].mixings if left else {}
        if len(mixings) > 1:
            alone = [{label: key} for label, key in mixings.items()]
            waiting[:0] = [dataclasses.replace(left[0], mixings=one) for one in alone]
            return []
        text = "".join(traceback.format_exception(error))[-4000:]
        rows = [self._row(mixing) | {"status": FAILED, "error": text} for mixing in mixings]
        return [row for row in rows if self._records.write(row, {})]

    def _dataset(self) -> Dataset:
        name = (self._array.task, self._array.spec.backbone)
        if self._held is None or self._held[0] != name:
            self._held = None  # let go of the old one before the new one comes
            self._held = (name, ray.get(self._datasets[name]))
        return self._held[1]

    def _row(self, mixing: str) -> dict[str, Any]:
        target, unit = self._targets[self._array.task]
        return self._array.row(mixing) | {
            "target": target,
            "unit": unit,
            "device": _device_name(self._device),
            "versions": _versions(),
        }

    def _record(self, split: Split, outcomes: list[Outcome]) -> list[dict[str, Any]]:
        rows = [self._finished_row(split, outcome) for outcome in outcomes]
        arrays = [outcome.arrays for outcome in outcomes]
        self._records.write_all(list(zip(rows, arrays, strict=True)))
        return rows

    def _finished_row(self, split: Split, outcome: Outcome) -> dict[str, Any]:
        course = outcome.course
        return self._row(course.member.label) | {
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


@lru_cache  # the packages' metadata are parsed anew for each question
def _versions() -> str:
    return json.dumps(versions())


@lru_cache
def _device_name(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"cpu ({platform.machine()})"
