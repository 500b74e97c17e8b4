"""Where a planar-averaged potential is flat, which is the vacuum, and where the slab lies.

Legend: P points of a periodic profile, W of them in a window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from trainables.crystals.crystal import BadCrystal

WINDOW = 2.0  # Å over which the potential is flat; no gap between layers of a crystal is
FLAT = 0.02  # eV between the extremes of a window: the noise of a calculation, and tails of atoms
# A dipole correction puts a step into the vacuum: it is narrow, and stays between both levels but
# for the ripples of a finite Fourier series, 9 % of its height.
STEP = 3.0  # Å
AS_FLAT = 1e-10  # eV: windows that are as flat as the flattest, but for rounding, make the level
RIPPLE = 0.25  # of its height
NOISE = 0.1  # eV


@dataclass(frozen=True)
class _Run:
    """Windows that are flat one after the other: points `first` to `last`, and their level."""

    first: int
    last: int
    level: float


@dataclass(frozen=True)
class Vacuum:
    """The vacuum around a slab in a periodic profile.

    Attributes:
        levels: [2] eV, below and above the slab.
        first, last: the points between which the slab lies, those of the flat regions on either
            side; `last` may lie in the next period.
    """

    levels: np.ndarray
    first: int
    last: int


def window_points(spacing: float) -> int:
    """W, the points of a stretch of `WINDOW`."""
    return math.ceil(WINDOW / spacing - 1e-9) + 1


def find_vacuum(potential: np.ndarray, spacing: float) -> Vacuum:
    """The longest vacuum of a periodic profile, which may hold one dipole step or several.

    A level is the mean of the flattest windows of its run, where the tails of the slab are least.

    Args:
        potential: [P] eV.
        spacing: between two points in Å.

    Raises:
        BadCrystal: there is no flat region, or nothing else.
    """
    count = len(potential)
    runs = _runs(potential, window_points(spacing))
    if not runs:
        raise BadCrystal(
            f"no vacuum: the potential is nowhere flat within {FLAT:g} eV over {WINDOW:g} Å; add"
            " vacuum, or correct the dipole"
        )
    arcs = _arcs(potential, runs, spacing)
    longest = max(arcs, key=lambda arc: arc[-1].last - arc[0].first)
    bottom, top = longest[-1], longest[0]
    first, last = bottom.last % count, top.first % count
    if last <= first:
        last += count
    return Vacuum(np.array([bottom.level, top.level]), first, last)


def _runs(potential: np.ndarray, width: int) -> list[_Run]:
    """Runs in ascending order; the first begins in this period, each ends `width` after a start."""
    count = len(potential)
    if width >= count:
        return []
    ahead = -(width // 2)  # of filters that look from a point to the W - 1 that follow
    top = maximum_filter1d(potential, width, mode="wrap", origin=ahead)
    bottom = minimum_filter1d(potential, width, mode="wrap", origin=ahead)
    ranges = top - bottom
    flat = ranges <= FLAT
    if flat.all():
        raise BadCrystal(
            f"constant potential: it is flat within {FLAT:g} eV everywhere; there is no slab"
        )
    starts = np.flatnonzero(flat & ~np.roll(flat, 1))
    ends = np.flatnonzero(flat & ~np.roll(flat, -1))
    if len(ends) and ends[0] < starts[0]:
        ends = np.append(ends[1:], ends[0] + count)
    return [
        _run(potential, ranges, int(a), int(b), width) for a, b in zip(starts, ends, strict=True)
    ]


def _run(potential: np.ndarray, ranges: np.ndarray, start: int, end: int, width: int) -> _Run:
    """The run of windows that begin at `start` to `end`."""
    count = len(potential)
    own = ranges[np.arange(start, end + 1) % count]
    sums = np.cumsum(np.append(0.0, potential[np.arange(start, end + width) % count]))
    means = (sums[width:] - sums[:-width]) / width
    return _Run(start, end + width - 1, float(means[own <= own.min() + AS_FLAT].mean()))


def _arcs(potential: np.ndarray, runs: list[_Run], spacing: float) -> list[list[_Run]]:
    """Runs with nothing but dipole steps between them, in ascending order."""
    count = len(potential)
    shifted = [_Run(one.first + count, one.last + count, one.level) for one in runs]
    joined = [
        _is_step(potential, one, after, spacing)
        for one, after in zip(runs, [*runs[1:], shifted[0]], strict=True)
    ]
    if all(joined):
        raise BadCrystal("constant potential: it is flat but for steps; there is no slab")
    begin = joined.index(False) + 1
    order = [*runs, *shifted][begin : begin + len(runs)]
    arcs = [[order[0]]]
    for place, run in enumerate(order[1:], begin):
        if joined[place % len(runs)]:
            arcs[-1].append(run)
        else:
            arcs.append([run])
    return arcs


def _is_step(potential: np.ndarray, one: _Run, after: _Run, spacing: float) -> bool:
    """Whether between two runs there is a step of the vacuum, and no matter."""
    if (after.first - one.last) * spacing > STEP:
        return False
    between = potential[np.arange(one.last, after.first + 1) % len(potential)]
    low, high = sorted((one.level, after.level))
    beyond = NOISE + RIPPLE * (high - low)
    return bool(((between >= low - beyond) & (between <= high + beyond)).all())
