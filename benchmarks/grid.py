"""Trains a whole grid of models on one device, several arrays at a time, one process each.

It needs neither Ray nor a run directory, so that the training alone is measured; the same work
through `orchestrator.hybrid_grid` adds what `benchmarks.orchestration` measures.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from trainables.models.recipe import Recipe
from trainables.representations import shards
from trainables.representations.dataset import Dataset
from trainables.representations.graph import Graphs
from trainables.training.fit import ArrayFit
from trainables.training.specification import ArraySpec

PRECISIONS = ("float32", "tf32", "bf16")


@dataclass(frozen=True)
class Job:
    """One array of a grid.

    Attributes:
        folder: of shards, one folder per backbone.
        precision: of `PRECISIONS`.
        evaluates: whether to make everything that a model leaves in a run, including the test.
    """

    spec: ArraySpec
    folder: Path
    device: str
    precision: str = "float32"
    evaluates: bool = True


@dataclass(frozen=True)
class Trained:
    """Time and results of an array; lists have one value per model, or none without evaluation."""

    spec: ArraySpec
    seconds: float
    epochs: list[int]
    val_mae: list[float]
    test_mae: list[float]


def specs(
    backbones: Sequence[str],
    dims: Sequence[int],
    folds: Sequence[int],
    mixings: Sequence[str],
    recipes: dict[str, Recipe],
    seed: int,
) -> list[ArraySpec]:
    """The arrays of a grid, one for each backbone, dimension and fold; the longest ones first."""
    return [
        ArraySpec(
            backbone=backbone,
            dim=dim,
            mixings={label: label for label in mixings},
            fold=fold,
            seed=seed,
            recipe=recipes[backbone],
        )
        for backbone, dim, fold in itertools.product(
            sorted(backbones, reverse=True), sorted(dims, reverse=True), folds
        )
    ]


@contextlib.contextmanager
def precision(name: str, device: str) -> Iterator[None]:
    """Matrix products in float32, in TF32, or (autocast) in bfloat16."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    try:
        with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=name == "bf16"):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


@functools.cache
def dataset(folder: Path) -> Dataset[Graphs]:
    """Reads a folder of shards, once per process."""
    return shards.load(folder, Graphs)


def train(job: Job) -> Trained:
    """Trains one array to its end."""
    torch.set_num_threads(1)
    data = dataset(job.folder)
    with precision(job.precision, job.device):
        start = time.perf_counter()
        fit = ArrayFit(job.spec, data, job.device)
        histories = list(fit.training.active)
        test: dict[str, float] = {}
        while not fit.finished:
            if not job.evaluates:
                fit.training.run_epoch()
                continue
            for outcome in fit.advance():
                test[outcome.history.member.key] = outcome.metrics["test_mae"]
        seconds = time.perf_counter() - start
    return Trained(
        spec=job.spec,
        seconds=seconds,
        epochs=[history.epochs for history in histories],
        val_mae=[history.best_error for history in histories],
        test_mae=[test[history.member.key] for history in histories if job.evaluates],
    )


def train_all(jobs: Sequence[Job], processes: int) -> tuple[float, list[Trained]]:
    """Seconds from the start of the first process to the last model, and the results.

    With one process, the arrays are trained in this one.
    """
    start = time.perf_counter()
    if processes == 1:
        trained = list(map(train, jobs))
    else:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            trained = list(pool.map(train, jobs))
    return time.perf_counter() - start, trained


def summary(trained: Sequence[Trained]) -> list[dict[str, Any]]:
    """The arrays as JSON."""
    return [
        {
            "backbone": array.spec.backbone,
            "dim": array.spec.dim,
            "fold": array.spec.fold,
            "mixings": list(array.spec.mixings),
            "seconds": array.seconds,
            "epochs": array.epochs,
            "val_mae": array.val_mae,
            "test_mae": array.test_mae,
        }
        for array in trained
    ]
