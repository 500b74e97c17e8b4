"""The same arrays on GPUs that are not here: a roofline model of what was counted on the CPU.

A step is as slow as the slowest of: moving its bytes, computing its products, getting through its
kernels, and being told what to do by its process. The last is one process's alone; so several of
them that share a card can keep it busier. (Williams et al. 2009, doi:10.1145/1498765.1498785.)
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.nodes.cards import GPUS, Gpu
from orchestrator.planning.estimate import Estimate, GpuWork, schedule

GB, GIB = 1e9, 2**30

# Assumptions, not measurements.
BANDWIDTH_REACHED = 0.6  # of the data sheet's: gathers and sums by index are not streams
FLOPS_REACHED = 0.5  # of the data sheet's: products of tall, narrow matrices
KERNEL = 3e-6  # seconds that the smallest kernel keeps the card
LAUNCH = 10e-6  # seconds of Python and torch a kernel; 5 to 25 µs are usual
CONTEXT = 0.6 * GIB  # of CUDA, in each process
CACHING = 1.3  # memory that torch's allocator holds for each byte that is alive
MOST_SHARING = 8  # processes on one card
WORTHWHILE = 0.97  # of the time with fewer processes on a card, for more to be worth it


@dataclass(frozen=True)
class GpuPlan:
    """A grid on some cards of one model.

    Attributes:
        fraction: of a card that a worker takes, or whole cards.
        sharing: workers on a card.
        workers: on all cards.
        seconds: until the last worker is done, if every model goes to its last epoch.
        least: if every model stops as soon as it may.
        needed: bytes of a card that the largest workers take together.
        limits: share of the seconds of all arrays by what limits them.
    """

    cards: int
    name: str
    fraction: float
    sharing: int
    workers: int
    seconds: float
    least: float
    needed: float
    limits: dict[str, float]

    @property
    def gpu(self) -> Gpu:
        return GPUS[self.name]

    @property
    def fits(self) -> bool:
        return self.needed <= self.gpu.memory * GB


def plan(estimates: Sequence[Estimate], name: str, cards: int, gpus_per_worker: float) -> GpuPlan:
    """The grid on `cards` cards, with the number of workers on each that is fastest.

    Args:
        estimates: with what a GPU would have to do.
        gpus_per_worker: as the person gave it; 0 lets the plan choose.
    """
    if gpus_per_worker:
        return _shared(estimates, name, cards, gpus_per_worker)
    best = _shared(estimates, name, cards, 1.0)
    for sharing in range(2, MOST_SHARING + 1):
        other = _shared(estimates, name, cards, 1 / sharing)
        if other.fits and other.seconds < WORTHWHILE * best.seconds:
            best = other
    return best


def _shared(estimates: Sequence[Estimate], name: str, cards: int, fraction: float) -> GpuPlan:
    # A worker computes on one card, also where it keeps others from being used.
    sharing = max(1, int(1 / fraction + 1e-9))
    workers = cards * sharing if fraction <= 1 else cards // int(fraction)
    works = [one.gpu for one in estimates if one.gpu is not None]
    stops = [one.least for one in estimates]
    seconds = [max(_limits(work, GPUS[name], sharing).values()) for work in works]
    needed = sorted(
        (
            CONTEXT + one.data + CACHING * (one.state + one.gpu.tensors)
            for one in estimates
            if one.gpu
        ),
        reverse=True,
    )
    return GpuPlan(
        cards=cards,
        name=name,
        fraction=fraction,
        sharing=sharing,
        workers=workers,
        seconds=schedule(seconds, workers),
        least=schedule(map(operator.mul, seconds, stops), workers),
        needed=sum(needed[:sharing]),
        limits=_shares(works, GPUS[name], sharing),
    )


def _limits(work: GpuWork, gpu: Gpu, sharing: int) -> dict[str, float]:
    """Seconds that each limit alone would make of an array."""
    card = {
        "memory traffic": work.moved / (BANDWIDTH_REACHED * gpu.bandwidth * GB),
        "arithmetic": work.flops / (FLOPS_REACHED * gpu.tflops * 1e12),
        "small kernels": work.kernels * KERNEL,
    }
    shared = {limit: seconds * sharing for limit, seconds in card.items()}
    return shared | {"kernel launches": work.kernels * LAUNCH}


def _shares(works: Iterable[GpuWork], gpu: Gpu, sharing: int) -> dict[str, float]:
    spent: dict[str, float] = {}
    for work in works:
        limits = _limits(work, gpu, sharing)
        worst = max(limits, key=lambda limit: limits[limit])
        spent[worst] = spent.get(worst, 0.0) + limits[worst]
    total = sum(spent.values()) or 1.0
    return {limit: seconds / total for limit, seconds in spent.items()}
