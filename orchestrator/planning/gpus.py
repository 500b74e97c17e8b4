"""Estimates arrays on GPUs that are not here, by a roofline model of the work counted on the CPU.

A step is as slow as the slowest of: moving its bytes, computing its matrix products, running its
kernels, and launching them. Launching is limited per process, so several processes that share a GPU
can keep it busier. (Williams et al. 2009, doi:10.1145/1498765.1498785.)
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
KERNEL = 3e-6  # seconds of GPU time of the smallest kernel
LAUNCH = 10e-6  # seconds of Python and torch per kernel; 5 to 25 µs are usual
CONTEXT = 0.6 * GIB  # of CUDA, in each process
CACHING = 1.3  # memory held by torch's allocator per byte in use
MOST_SHARING = 8  # processes on one GPU
WORTHWHILE = 0.97  # of the time with fewer processes per GPU, for more to be worthwhile


@dataclass(frozen=True)
class GpuPlan:
    """A grid on some GPUs of one model.

    Attributes:
        fraction: of a GPU that a worker takes, or whole GPUs.
        sharing: workers per GPU.
        workers: on all GPUs.
        seconds: until the last worker is done, if every model runs to its last epoch.
        least: the same if every model stops as soon as it may.
        needed: bytes of a GPU that the largest workers take together.
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
    """Plans the grid on `cards` GPUs, with the fastest number of workers on each.

    Args:
        estimates: with the work of a GPU counted.
        gpus_per_worker: the user's value; 0 lets the plan choose.
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
    # A worker computes on one GPU, even if it reserves several.
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
    """Seconds of an array under each limit alone."""
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
