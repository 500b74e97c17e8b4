"""Measures what an array costs, on a few epochs over a few crystals.

Legend: K models of an array; a row is a node or an edge of a quotient graph (`sample.py`).

An epoch consists of *passes* over batches, which together hold all rows of the data set. Every
quantity is modelled as fixed · passes + per_row · rows. Two runs over the same crystals, in batches
of the recipe's size and of a quarter of it, separate the two terms.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch

from orchestrator.nodes.worker import Worker
from orchestrator.planning.sample import first, rows
from orchestrator.planning.tally import Tally
from trainables.crystals.condition import WHOLE, usual_sizes
from trainables.kernels import ops
from trainables.representations.columns import Columns
from trainables.representations.dataset import Dataset
from trainables.training.fit import ArrayFit, fit
from trainables.training.problem import EVALUATION_BATCH, predictions
from trainables.training.specification import ArraySpec

TRAINED = (64, 127)  # least and largest number of training crystals, or else one batch
FINER = 4  # times as many batches in the second run
EPOCHS = 100  # more than are ever run
TIMED = 5  # largest number of timed epochs, of which the fastest counts
ENOUGH = 0.5  # seconds of epochs, after which none is repeated
WIDEST = 1024  # models times width that are measured; above, fewer models stand for all
EVALUATION = 1 / 3  # of the cost of a training step, which also has a backward pass
BESIDE_ARRAYS = 9000  # bytes of a record: its row, twice, and the names of its arrays


@dataclass(frozen=True)
class Line:
    """A quantity that grows with passes and rows."""

    fixed: float
    per_row: float

    def at(self, passes: float, rows: float) -> float:
        """The quantity for so many passes and rows."""
        return self.fixed * passes + self.per_row * rows


@dataclass(frozen=True, kw_only=True)
class Record:
    """Bytes of a model on disk: a fixed number, and those per crystal and per epoch."""

    fixed: float
    crystal: float
    epoch: float


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What an array of `members` models costs.

    Attributes:
        seconds: of an epoch.
        alive: peak bytes of tensors in a training step: the array's own, and per row of a batch.
        evaluating: bytes of tensors during prediction, per row of a batch.
        resident: bytes of the data set in a worker, per row.
        traffic: the work of a GPU, if it was counted.
    """

    members: int
    seconds: Line
    alive: Line
    evaluating: float
    resident: float
    record: Record
    traffic: Traffic | None


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The work of a GPU in an epoch of an array.

    Attributes:
        kernels: their number, as a multiple of passes plus a constant.
        moved: bytes read and written by them.
        flops: operations of matrix products.
        alive: as in `Costs`, on the GPU.
    """

    kernels: Line
    moved: Line
    flops: Line
    alive: Line


def passes(train: int, held: int, batch_size: int) -> float:
    """Training steps of an epoch, plus its validation in steps of the same cost."""
    return math.ceil(train / batch_size) + EVALUATION * math.ceil(held / EVALUATION_BATCH)


def measure(
    spec: ArraySpec, dataset: Dataset[Columns], worker: Worker, device: str, *, traffic: bool
) -> Costs:
    """Trains copies of an array for a few epochs; nothing of them is kept.

    Args:
        spec: the array; its fold and condition do not matter.
        dataset: at least 10 crystals; only the first ones are used.
        worker: whose number of threads is used, as far as this machine has CPUs.
        device: "cpu" or "cuda".
        traffic: whether to also count the work of a GPU.
    """
    width = max(spec.dim, spec.width)
    members = max(1, min(len(spec.mixings), WIDEST // width))
    labels = list(spec.mixings)[:members]
    spec = replace(spec, mixings={label: label for label in labels}, fold=0, condition=WHOLE)
    few = first(dataset, _enough(spec.recipe.batch_size, members * width))
    threads = min(worker.threads, os.cpu_count() or 1)
    with _threads(threads):
        coarse, fine = _runs(spec, few, device)
        evaluating = coarse.evaluate()
        seconds = _line(coarse, fine, lambda run: run.time(_clock(device, threads)))
        record = _record(spec, few, device)
        counted = _count(spec, few, device) if traffic else None
    return Costs(
        members=members,
        seconds=seconds,
        alive=_alive(coarse, fine),
        evaluating=evaluating / coarse.rows,
        resident=coarse.resident() / coarse.rows,
        record=record,
        traffic=counted,
    )


def _enough(batch_size: int, width: int) -> int:
    """Number of crystals to measure on; fewer where each of them takes long."""
    least, most = TRAINED
    trained = min(max(batch_size, least), most) * min(1.0, WIDEST / width)
    return max(20, int(trained / 0.6))


def _runs(spec: ArraySpec, dataset: Dataset[Columns], device: str) -> tuple[_Run, _Run]:
    """A run in batches of the recipe's size, and one in smaller ones."""
    size = min(spec.recipe.batch_size, usual_sizes(len(dataset))[0])
    return _Run(spec, dataset, size, device), _Run(spec, dataset, max(2, size // FINER), device)


def _count(spec: ArraySpec, dataset: Dataset[Columns], device: str) -> Traffic:
    with ops.plain():
        coarse, fine = _runs(spec, dataset, device)
    return Traffic(
        kernels=_per_pass(coarse, fine, lambda run: run.tally.kernels),
        moved=_line(coarse, fine, lambda run: run.tally.moved),
        flops=_line(coarse, fine, lambda run: run.tally.flops),
        alive=_alive(coarse, fine),
    )


class _Run:
    """A copy of an array in training, with one batch size; its second epoch is counted."""

    def __init__(
        self, spec: ArraySpec, dataset: Dataset[Columns], batch_size: int, device: str
    ) -> None:
        self.dataset, self.rows = dataset, rows(dataset.graphs)
        train, held = usual_sizes(len(dataset))
        self.passes = passes(train, held, batch_size)
        self.batch_rows = self.rows / len(dataset) * train / math.ceil(train / batch_size)
        # No model leaves: no epoch is the last, patience never ends, no step counts as divergence.
        # Nothing is compiled, as it would be for a long training on a GPU.
        recipe = replace(
            spec.recipe, batch_size=batch_size, lr=1e-9, epochs=EPOCHS, patience=EPOCHS
        )
        with Tally() as self.tally:
            self._fit = ArrayFit(replace(spec, recipe=recipe), dataset, device)
            self._fit.training.run_epoch()  # fills the caches that later epochs find full
            self.tally.restart()
            self._fit.training.run_epoch()

    def time(self, clock: Callable[[], float]) -> float:
        """Seconds of an epoch."""
        times: list[float] = []
        while len(times) < TIMED and sum(times) < ENOUGH:
            start = clock()
            self._fit.training.run_epoch()
            times.append(clock() - start)
        return min(times)

    def evaluate(self) -> int:
        """Bytes alive while all crystals are predicted at once."""
        with Tally() as tally:
            chosen = torch.arange(len(self.dataset))
            predictions(self._fit.training.model, self._fit.data, chosen)
        return tally.peak

    def resident(self) -> int:
        """Bytes of the data set: as loaded, and as fed to the model."""
        data = self.dataset
        came = [*vars(data.graphs).values(), data.target, data.ids, data.rows]
        fed = [value for value in vars(self._fit.data).values() if isinstance(value, torch.Tensor)]
        return sum(array.nbytes for array in came) + sum(tensor.nbytes for tensor in fed)


def _line(coarse: _Run, fine: _Run, value: Callable[[_Run], float]) -> Line:
    """The line through both runs; through the coarse one alone if noise makes a term negative."""
    few, many = value(coarse), value(fine)
    more = max(1e-9, fine.passes - coarse.passes)
    fixed = min(max(0.0, (many - few) / more), few / coarse.passes)
    return Line(fixed, (few - fixed * coarse.passes) / coarse.rows)


def _per_pass(coarse: _Run, fine: _Run, value: Callable[[_Run], float]) -> Line:
    """For a quantity that does not grow with rows: the second term occurs once per epoch."""
    each = (value(fine) - value(coarse)) / max(1e-9, fine.passes - coarse.passes)
    return Line(each, value(coarse) - each * coarse.passes)


def _alive(coarse: _Run, fine: _Run) -> Line:
    most, least = coarse.tally.peak, fine.tally.peak
    spread = max(1e-9, coarse.batch_rows - fine.batch_rows)
    per_row = min(max(0.0, (most - least) / spread), most / coarse.batch_rows)
    return Line(most - per_row * coarse.batch_rows, per_row)


def _record(spec: ArraySpec, dataset: Dataset[Columns], device: str) -> Record:
    """The record size of a model with both channels in its vectors, if the array has one."""
    label = sorted(spec.mixings, key=lambda name: name in ("H", "L"))[0]
    alone = replace(spec, mixings={label: label}, recipe=replace(spec.recipe, epochs=1, lr=1e-9))
    (outcome,) = fit(alone, dataset, device)
    size = {name: np.asarray(array).nbytes for name, array in outcome.arrays.items()}
    curves = sum(bytes for name, bytes in size.items() if name.startswith("curve/"))
    predicted = sum(bytes for name, bytes in size.items() if name.startswith("predictions/"))
    return Record(
        fixed=BESIDE_ARRAYS + sum(size.values()) - curves - predicted,
        crystal=predicted / len(dataset),
        epoch=curves,
    )


def _clock(device: str, threads: int) -> Callable[[], float]:
    """The clock for an epoch.

    A single thread is timed by its CPU time, not by wall time: other processes that use this
    machine now will not slow the grid.
    """
    if device == "cuda":
        return _synchronised
    return time.process_time if threads == 1 else time.perf_counter


def _synchronised() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
