"""Chooses λ: the front of pull against crowding, and the least even scale on it (3.1.3).

With a larger λ, elements that replace each other move apart (loss X grows) to make room for all
(loss Y falls). Candidates are the corners of the lower convex hull of the front; the thesis takes
the one whose rescaled gaps have the largest variance.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from analysis.mapping import Map
from analysis.scale.gaps import Gaps, Repulsion, minimise

# λ added per round of refinement; fixed, so that the result does not depend on the workers.
A_ROUND = 4


def losses(found: Sequence[Gaps]) -> np.ndarray:
    """[p, 2]: pull and crowding of each."""
    return np.array([(one.pull, one.crowding) for one in found], dtype=np.float64).reshape(-1, 2)


def on_front(losses_p2: np.ndarray) -> np.ndarray:
    """Which points are not dominated by another one [p]."""
    no_worse = (losses_p2[:, None] <= losses_p2[None]).all(axis=2)
    better = (losses_p2[:, None] < losses_p2[None]).any(axis=2)
    return np.logical_not((no_worse & better).any(axis=0))


def on_hull(losses_p2: np.ndarray) -> np.ndarray:
    """Which points are corners of the front's lower left convex hull [p]."""
    front = np.flatnonzero(on_front(losses_p2))
    corners: list[int] = []
    for place in front[np.lexsort(losses_p2[front].T[::-1])]:
        while len(corners) > 1 and not _turns_left(losses_p2[[*corners[-2:], place]]):
            corners.pop()
        corners.append(int(place))
    mask = np.zeros(len(losses_p2), dtype=bool)
    mask[corners] = True
    return mask


def _turns_left(points_32: np.ndarray) -> bool:
    """Whether the path over three points bends to the left at the middle one."""
    (ux, uy), (vx, vy) = points_32[1:] - points_32[0]
    return bool(ux * vy - uy * vx > 0)


def least_even(found: Sequence[Gaps]) -> int:
    """The thesis' choice: the corner of the hull with the largest variance of its gaps."""
    hull = np.flatnonzero(on_hull(losses(found))).tolist()
    return int(max(hull, key=lambda place: found[place].variance))


def hypervolume(losses_p2: np.ndarray, corners_22: np.ndarray) -> float:
    """Share of a box that the points dominate; 0 none, 1 all of it.

    Args:
        corners_22: the box's best and worst (pull, crowding), such as those of a front.
    """
    best, worst = corners_22
    extent = worst - best
    if not (extent > 0).all():
        return 0.0
    front = losses_p2[on_front(losses_p2)]
    scaled = np.clip((front - best) / extent, 0.0, 1.0)
    scaled = scaled[np.argsort(scaled[:, 0], kind="stable")]
    rights = np.append(scaled[1:, 0], 1.0)
    return float(((rights - scaled[:, 0]) * (1.0 - np.minimum.accumulate(scaled[:, 1]))).sum())


def box(losses_p2: np.ndarray) -> np.ndarray:
    """Best and worst (pull, crowding) of some points [2, 2]."""
    return np.stack([losses_p2.min(axis=0), losses_p2.max(axis=0)])


def scan(
    pull_nn: np.ndarray,
    lambdas: Sequence[float],
    eta: float,
    repulsion: Repulsion = "all",
    map: Map = map,
) -> list[Gaps]:
    """The gaps of each λ, in their order; `map` may distribute them to workers."""
    return list(map(partial(_at, pull_nn, repulsion), [(lam, eta) for lam in lambdas]))


def scan_pairs(
    pull_nn: np.ndarray,
    pairs: Sequence[tuple[float, float]],
    repulsion: Repulsion = "all",
    map: Map = map,
) -> list[Gaps]:
    """The gaps of each (λ, η)."""
    return list(map(partial(_at, pull_nn, repulsion), pairs))


def _at(pull_nn: np.ndarray, repulsion: Repulsion, pair: tuple[float, float]) -> Gaps:
    return minimise(pull_nn, *pair, repulsion=repulsion)


def refine(
    pull_nn: np.ndarray,
    found: Sequence[Gaps],
    *,
    most: int,
    tolerance: float,
    repulsion: Repulsion = "all",
    map: Map = map,
) -> list[Gaps]:
    """Adds λ where the front bends, between existing ones.

    The area of the rectangle between two neighbours on the front is the largest possible gain of a
    point between them; each round halves, in ln λ, the `A_ROUND` widest. It ends when a round gains
    less than `tolerance` of the box, or with `most` new ones.

    Returns:
        The new gaps.
    """
    known = sorted(found, key=lambda one: one.lam)
    corners = box(losses(known))
    new: list[Gaps] = []
    while len(new) < most:
        middles = _widest(known, corners)[: min(A_ROUND, most - len(new))]
        if not middles:
            break
        before = hypervolume(losses(known), corners)
        added = scan(pull_nn, middles, known[0].eta, repulsion, map)
        new += added
        known = sorted([*known, *added], key=lambda one: one.lam)
        if hypervolume(losses(known), corners) - before < tolerance:
            break
    return new


def _widest(known: Sequence[Gaps], corners_22: np.ndarray) -> list[float]:
    """Middles of the intervals of λ, sorted by the size of their rectangles, largest first."""
    extent = corners_22[1] - corners_22[0]
    extent = np.where(extent > 0, extent, 1.0)
    areas = np.abs(np.diff(losses(known) / extent, axis=0)).prod(axis=1)
    middles = [math.sqrt(left.lam * right.lam) for left, right in itertools.pairwise(known)]
    return [middles[place] for place in np.argsort(-areas, kind="stable") if areas[place] > 0]


# Trials requested at a time; fixed, so that the search is the same for any number of workers.
BATCH = 8
ETA_RANGE = (0.01, 1.0)


def search_pairs(
    pull_nn: np.ndarray,
    lambdas: Sequence[float],
    *,
    trials: int,
    seed: int,
    repulsion: Repulsion = "all",
    map: Map = map,
) -> list[Gaps]:
    """Gaps of the (λ, η) that a tree-structured Parzen estimator tries to lower pull and crowding.

    λ lies between the smallest and the largest of `lambdas`, η in `ETA_RANGE`.
    """
    import optuna  # here: a report needs none

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=optuna.samplers.TPESampler(seed=seed)
    )
    found: list[Gaps] = []
    while len(found) < trials:
        asked = [study.ask() for _ in range(min(BATCH, trials - len(found)))]
        pairs = [
            (
                trial.suggest_float("lambda", min(lambdas), max(lambdas), log=True),
                trial.suggest_float("eta", *ETA_RANGE, log=True),
            )
            for trial in asked
        ]
        new = scan_pairs(pull_nn, pairs, repulsion, map)
        for trial, values in zip(asked, losses(new).tolist(), strict=True):
            study.tell(trial, values)
        found += new
    return found
