"""Where a planar-averaged potential is flat, which is the vacuum, and where the slab lies.

Legend: P points of a periodic profile, W of them in a window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trainables.crystals.crystal import BadCrystal

WINDOW = 2.0  # Å over which the potential is flat; no gap between layers of a crystal is
FLAT = 0.02  # eV between the extremes of a window: the noise of a calculation, and tails of atoms
# A dipole correction puts a step into the vacuum: it is narrow, and stays between both levels but
# for the ripples of a finite Fourier series, 9 % of its height.
STEP = 3.0  # Å
RIPPLE = 0.25  # of its height
NOISE = 0.1  # eV
LEVEL = 0.005  # eV between runs of one level; a step has more
TILT = 0.05  # eV that the vacuum may rise from end to end, but for steps; half of it is W's error


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
    """The vacuum of a periodic profile, which may hold one dipole step or several.

    A level is the mean of the middle half of all values of the flat part next to the slab, which
    neither noise nor the tails of atoms move.

    Args:
        potential: [P] eV.
        spacing: between two points in Å.

    Raises:
        BadCrystal: there is no flat region, or nothing else; there are two; or it is tilted.
    """
    count = len(potential)
    runs = _runs(potential, window_points(spacing))
    if not runs:
        raise BadCrystal(
            f"no vacuum: the potential is nowhere flat within {FLAT:g} eV over {WINDOW:g} Å; add"
            " vacuum, or correct the dipole"
        )
    arcs = _arcs(potential, runs, spacing)
    if len(arcs) > 1:
        raise BadCrystal(
            f"flat in several places: the potential is flat in {len(arcs)} separate regions along"
            f" c, and what lies between is no dipole step of {STEP:g} Å at most; is it flat within"
            " the slab, or are there two slabs in the cell?"
        )
    arc = arcs[0]
    tilt = _tilt(potential, arc)
    if tilt > TILT:
        raise BadCrystal(
            f"tilted vacuum: the potential changes by {tilt:.2g} eV along it, {TILT:g} eV are"
            " allowed; correct the dipole"
        )
    levels = np.array([_level(potential, arc[::-1]), _level(potential, arc)])
    first, last = arc[-1].last % count, arc[0].first % count
    if last <= first:
        last += count
    return Vacuum(levels, first, last)


def _points(potential: np.ndarray, run: _Run) -> np.ndarray:
    """eV at the points of a run."""
    return potential[np.arange(run.first, run.last + 1) % len(potential)]


def _level(potential: np.ndarray, runs: list[_Run]) -> float:
    """The median of the first run and of those at its level, into which noise cuts a vacuum."""
    near = [one for one in runs if abs(one.level - runs[0].level) <= LEVEL]
    return _middle(np.concatenate([_points(potential, one) for one in near]))


def _middle(values: np.ndarray) -> float:
    """The mean of the middle half: tails are left out, and both sides of a tiny step count."""
    cut = len(values) // 4
    return float(np.sort(values)[cut : len(values) - cut].mean())


def _tilt(potential: np.ndarray, arc: list[_Run]) -> float:
    """eV that a vacuum rises or falls, its steps left out.

    That of a line over each run, and of lines of one slope over all, from end to end: noise cuts a
    tilted vacuum into runs, of which each hardly rises.
    """
    products, squares, found = 0.0, 0.0, []
    for run in arc:
        own = _points(potential, run)
        at = np.arange(len(own)) - (len(own) - 1) / 2
        product, square = float(at @ own), float(at @ at)
        found.append(product / square * (len(own) - 1))
        products, squares = products + product, squares + square
    found.append(products / squares * (arc[-1].last - arc[0].first))
    return max(map(abs, found))


def _runs(potential: np.ndarray, width: int) -> list[_Run]:
    """Runs in ascending order; the first begins in this period, each ends `width` after a start."""
    count = len(potential)
    if width >= count:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(
        np.resize(potential, count + width - 1), width
    )
    flat = np.ptp(windows, axis=-1) <= FLAT
    if flat.all():
        raise BadCrystal(
            f"constant potential: it is flat within {FLAT:g} eV everywhere; there is no slab"
        )
    starts = np.flatnonzero(flat & ~np.roll(flat, 1))
    ends = np.flatnonzero(flat & ~np.roll(flat, -1))
    if len(ends) and ends[0] < starts[0]:
        ends = np.append(ends[1:], ends[0] + count)
    return [_run(potential, int(a), int(b) + width - 1) for a, b in zip(starts, ends, strict=True)]


def _run(potential: np.ndarray, first: int, last: int) -> _Run:
    points = potential[np.arange(first, last + 1) % len(potential)]
    return _Run(first, last, _middle(points))


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
    """Whether between two runs there is a step of the vacuum, or noise, and no matter."""
    wide = (after.first - one.last) * spacing > STEP
    if wide and abs(after.level - one.level) > NOISE:
        return False
    between = potential[np.arange(one.last, after.first + 1) % len(potential)]
    low, high = sorted((one.level, after.level))
    beyond = NOISE + RIPPLE * (high - low)
    return bool(((between >= low - beyond) & (between <= high + beyond)).all())
