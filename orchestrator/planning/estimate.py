"""Turns measured costs into the time and memory of each array, and of all arrays on workers."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.grid.arrays import GridArray
from orchestrator.planning.measure import EVALUATION, Costs, passes
from orchestrator.planning.sample import Size
from trainables.crystals.condition import usual_sizes
from trainables.training.problem import EVALUATION_BATCH

# Memory of the process per byte of a step's tensors: the C library keeps the gaps between tensors
# of changing sizes, and some batches are larger than the mean. Fitted on Ray workers with seven
# CGCNN or MEGNet models of 16 to 256 dimensions, on phonons, whose resident size (600 to 900 MiB)
# it predicts to 12 %.
HEAP = 3.2


@dataclass(frozen=True, kw_only=True)
class GpuWork:
    """A GPU's work for an array, over all its epochs; `tensors` as in `Estimate`."""

    kernels: float
    moved: float
    flops: float
    tensors: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One array, from its first epoch to the last that its recipe allows.

    Attributes:
        seconds: on a worker of this machine.
        state: bytes of weights, gradients, optimiser state and averages.
        tensors: bytes of temporary tensors of a training step or an evaluation.
        data: bytes of the data set in the worker.
        streamed: whether `data` is only a part, as the data set is streamed.
        disk: bytes that all its models write.
        gpu: the work of a GPU, if it was counted.
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
        """Bytes of a worker that trains the array, in addition to an idle one."""
        return self.data + self.state + HEAP * self.tensors

    @property
    def least(self) -> float:
        """The share of its epochs that it runs before any model may stop for good."""
        recipe = self.array.spec.recipe
        return min(1.0, (recipe.patience + 1) / recipe.epochs)


def estimate(array: GridArray, costs: Costs, size: Size, budget: float) -> Estimate:
    """Estimates what an array costs on a data set of the given size.

    Args:
        costs: of an array of the same configuration, with any number of models.
        budget: bytes of a data set that a worker may hold.
    """
    recipe, models = array.spec.recipe, len(array.spec.mixings)
    rows = size.crystals * size.rows
    share = models / costs.members
    # The number of calls and kernels of a pass is fixed; moving weights grows with the models.
    whole, held = usual_sizes(size.crystals)
    train, _ = usual_sizes(size.crystals, array.spec.condition)
    part = (train + EVALUATION * held) / (whole + EVALUATION * held)
    steps, work = passes(train, held, recipe.batch_size), rows * share * part
    moves = steps * max(1.0, share)
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
    """Time until the last worker is done, if each free worker takes the longest array left.

    The job schedules arrays in this way. The time is at least that of the longest array, and at
    most 4/3 of the optimum (Graham 1969, doi:10.1137/0117039).
    """
    free = [0.0] * max(1, workers)
    for duration in sorted(durations, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + duration)
    return max(free)


def dominating(seconds: Iterable[tuple[str, float]], most: float = 0.8) -> list[str]:
    """The fewest names that together take `most` of all seconds; none if that is all of them."""
    of: dict[str, float] = {}
    for name, part in seconds:
        of[name] = of.get(name, 0.0) + part
    names: list[str] = []
    for name in sorted(of, key=lambda name: -of[name]):
        if sum(of[other] for other in names) < most * sum(of.values()):
            names.append(name)
    return names if len(names) < len(of) else []
