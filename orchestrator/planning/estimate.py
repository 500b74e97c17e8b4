"""From the costs of a configuration to the time and memory of each array, and of all on workers."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.grid.cells import GridArray
from orchestrator.planning.measure import Costs, parts, passes
from orchestrator.planning.sample import Size
from trainables.training.problem import EVALUATION_BATCH

# What a process holds for each byte of a step's tensors: the C library keeps the gaps between
# tensors of changing sizes, and some batches are larger than the mean. Chosen on Ray's workers
# with seven CGCNN or MEGNet models of 16 to 256 dimensions, on phonons: their whole resident
# size (600 to 900 MiB) is then foretold to 12 %.
HEAP = 3.2


@dataclass(frozen=True, kw_only=True)
class GpuWork:
    """What an array would have a GPU do, in all its epochs; `tensors` as those of `Estimate`."""

    kernels: float
    moved: float
    flops: float
    tensors: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One array from its first epoch to the last that its recipe allows.

    Attributes:
        seconds: on a worker of this machine.
        state: bytes of weights, gradients and what the optimiser and the averages remember.
        tensors: bytes of those that a step, or an evaluation, makes and lets go.
        data: bytes of the data set in the worker.
        streamed: whether that is only a part of it, the rest being streamed.
        disk: bytes that all its models leave.
        gpu: what a GPU would have to do, if that was counted.
    """

    array: GridArray
    seconds: float
    state: float
    tensors: float
    data: float
    streamed: bool
    disk: float
    gpu: GpuWork | None

    @property
    def resident(self) -> float:
        """Bytes that a worker takes for the array, beside what it takes idle."""
        return self.data + self.state + HEAP * self.tensors

    @property
    def least(self) -> float:
        """The share of its epochs that it goes through before any model may stop for good."""
        recipe = self.array.spec.recipe
        return min(1.0, (recipe.patience + 1) / recipe.epochs)


def estimate(array: GridArray, costs: Costs, size: Size, budget: float) -> Estimate:
    """What the array will cost on a data set of that size.

    Args:
        costs: of an array of the same configuration, with as many models or others.
        budget: bytes of a data set that a worker may hold.
    """
    recipe, models = array.spec.recipe, len(array.spec.mixings)
    rows = size.crystals * size.rows
    share = models / costs.members
    # A pass of fewer models is as many calls and kernels, one of more moves more weights.
    steps, work = passes(size.crystals, recipe.batch_size), rows * share
    moves = steps * max(1.0, share)
    train, held = parts(size.crystals)
    batch = share * size.rows * train / max(1, math.ceil(train / recipe.batch_size))
    evaluating = costs.evaluating * share * size.rows * min(EVALUATION_BATCH, held)
    gpu, record = costs.traffic, costs.record
    disk = record.fixed + size.crystals * record.crystal + recipe.epochs * record.epoch
    return Estimate(
        array=array,
        seconds=costs.seconds.at(moves, work) * recipe.epochs,
        state=costs.alive.fixed * share,
        tensors=max(costs.alive.per_row * batch, evaluating),
        data=min(costs.resident * rows, budget),
        streamed=costs.resident * rows > budget,
        disk=disk * models,
        gpu=None
        if gpu is None
        else GpuWork(
            kernels=gpu.kernels.at(steps, 1) * recipe.epochs,
            moved=gpu.moved.at(moves, work) * recipe.epochs,
            flops=gpu.flops.at(moves, work) * recipe.epochs,
            tensors=max(gpu.alive.per_row * batch, evaluating),
        ),
    )


def schedule(durations: Iterable[float], workers: int) -> float:
    """When the last worker is done, if whoever is free takes the longest that is left.

    This is how the job hands out arrays. It is at least the longest of them, whatever the number
    of workers, and at most 4/3 of the best possible (Graham 1969, doi:10.1137/0117039).
    """
    free = [0.0] * max(1, workers)
    for duration in sorted(durations, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + duration)
    return max(free)


def dominating(seconds: Iterable[tuple[str, float]], most: float = 0.8) -> list[str]:
    """The fewest names that together take that much of all seconds; none where that is all."""
    of: dict[str, float] = {}
    for name, part in seconds:
        of[name] = of.get(name, 0.0) + part
    names: list[str] = []
    for name in sorted(of, key=lambda name: -of[name]):
        if sum(of[other] for other in names) < most * sum(of.values()):
            names.append(name)
    return names if len(names) < len(of) else []
