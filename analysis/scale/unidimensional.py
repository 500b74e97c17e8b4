"""Metric MDS in one dimension: an order of the elements that keeps their distances.

For a given order the stress Σ_{i<j} (d_ij − |x_i − x_j|)² is least at x_i = t_i / n, with

    t_i = Σ_{j before i} d_ij − Σ_{j after i} d_ij,

and is then Σ_{i<j} d_ij² − Σ_i t_i² / n: the best order maximises F = Σ t_i² (Defays, 1978,
10.1080/00223980.1978.9915985). SMACOF's step is to sort by t; it ends at the first order that
sorts itself. A local search goes on from there: an element moves elsewhere, a run of elements
turns round, as long as F grows. Compiled by numba on first use, and kept beside the source.

Shape letters: n elements, r restarts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numba import njit

# Restarts that share a random stream. The results are the same for any number of workers.
BLOCK = 250
# Gains below this share of F are rounding: without a limit the search could run in circles.
LEAST_GAIN = 1e-13
# Restarts whose F differs by less share of it are one optimum.
SAME = 1e-10


@dataclass(frozen=True, kw_only=True)
class Order:
    """The best of many restarts.

    Attributes:
        order: places [n] of the matrix, from one end of the axis to the other.
        coordinates: x [n] in the order, ascending, in units of the distances, of least stress.
        stress: Σ_{i<j} (d_ij − |x_i − x_j|)².
        restarts: how many were made.
        hits: how many of them ended at this stress.
    """

    order: np.ndarray
    coordinates: np.ndarray
    stress: float
    restarts: int
    hits: int


def find_order(
    distances_nn: np.ndarray,
    *,
    restarts: int,
    seed: int,
    map: Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]] = map,
) -> Order:
    """Searches from `restarts` random orders; `map` may spread their blocks over workers.

    Raises:
        ValueError: the distances are not symmetric, finite and at least 0, or fewer than two.
    """
    distances = np.array(distances_nn, dtype=np.float64, order="C")
    if distances.ndim != 2 or distances.shape[0] != distances.shape[1] or len(distances) < 2:
        raise ValueError("distances must be a square matrix of two elements or more")
    if not np.isfinite(distances).all() or (distances < 0).any():
        raise ValueError("distances must be numbers of at least 0")
    if not np.allclose(distances, distances.T):
        raise ValueError("distances must be symmetric")
    np.fill_diagonal(distances, 0.0)
    starts = range(0, restarts, BLOCK)
    blocks = [(seed, start, min(BLOCK, restarts - start)) for start in starts]
    found = list(map(partial(_search_block, distances), blocks))
    merits = np.concatenate([merits for merits, _ in found])
    best = int(merits.argmax())
    order = found[best // BLOCK][1]
    merit = float(merits[best])
    squares = float((distances**2).sum()) / 2
    n = len(distances)
    return Order(
        order=order,
        coordinates=_lean(distances, order) / n,
        stress=squares - merit / n,
        restarts=restarts,
        hits=int((merits >= merit * (1 - SAME)).sum()),
    )


def _search_block(
    distances: np.ndarray, block: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """F [r] of a block's restarts, and the order of its best."""
    seed, start, count = block
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(start,)))
    orders = np.argsort(random.random((count, len(distances))), axis=1)
    merits = _search(distances, orders)
    return merits, orders[merits.argmax()]


@njit(cache=True)
def _search(distances: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Improves each order [r, n] in place until nothing helps; F [r].

    Most restarts end in few orders. That nothing helps in one of them is seen once a block.
    """
    merits = np.empty(len(orders))
    settled = np.empty_like(orders)
    due = np.empty(len(distances), dtype=np.bool_)
    kinds = _kinds(distances)
    known = 0
    for r in range(len(orders)):
        order = orders[r]
        _sort_until_sorted(distances, order)
        while not _among(settled[:known], kinds[order]):
            due[:] = True
            if _insert(distances, order, due):
                while _insert(distances, order, due):
                    pass
            elif not _reverse(distances, order):
                settled[known] = kinds[order]
                known += 1
        lean = _lean(distances, order)
        merits[r] = (lean * lean).sum()
    return merits


@njit(cache=True)
def _kinds(distances: np.ndarray) -> np.ndarray:
    """For each element the first that is as far from all others: swapping the two changes no F."""
    n = len(distances)
    kinds = np.arange(n)
    for i in range(n):
        for j in range(i):
            unlike = distances[i] != distances[j]
            unlike[i] = unlike[j] = False
            if not unlike.any():
                kinds[i] = kinds[j]
                break
    return kinds


@njit(cache=True)
def _among(settled: np.ndarray, order: np.ndarray) -> bool:
    """Whether an order of kinds is one of these, from either end."""
    n = len(order)
    for other in settled:
        ahead = back = True
        for k in range(n):
            ahead = ahead and other[k] == order[k]
            back = back and other[n - 1 - k] == order[k]
            if not (ahead or back):
                break
        if ahead or back:
            return True
    return False


@njit(cache=True)
def _lean(distances: np.ndarray, order: np.ndarray) -> np.ndarray:
    """t [n] in the order."""
    n = len(order)
    places = np.empty(n)
    for k in range(n):
        places[order[k]] = k
    # Element by element in the inner loop, so that it is vectorised without another order of
    # summation: rounding, which decides between orders of one stress, must not be the compiler's.
    by_element = np.zeros(n)
    for other in range(n):
        row, place = distances[other], places[other]
        for element in range(n):
            by_element[element] += row[element] if place < places[element] else -row[element]
    return by_element[order]


@njit(cache=True)
def _sort_until_sorted(distances: np.ndarray, order: np.ndarray) -> None:
    """SMACOF with its steps in one dimension: sort by t; F grows until nothing moves."""
    merit = -1.0
    while True:
        lean = _lean(distances, order)
        grown = (lean * lean).sum()
        if grown <= merit * (1 + LEAST_GAIN):
            return
        merit = grown
        _sort(order, lean)


@njit(cache=True)
def _sort(order: np.ndarray, keys: np.ndarray) -> None:
    """Sorts both by the keys; insertion, as most are in their place."""
    for k in range(1, len(order)):
        element, key = order[k], keys[k]
        free = k
        while free > 0 and keys[free - 1] > key:
            order[free], keys[free] = order[free - 1], keys[free - 1]
            free -= 1
        order[free], keys[free] = element, key


@njit(cache=True)
def _insert(distances: np.ndarray, order: np.ndarray, due: np.ndarray) -> bool:
    """Moves each element that is due to where F gains most; whether one has moved.

    Due next are those that have moved and those that they passed, whose t has changed.

    Passing q on the way right adds 2 d to t of the one that moves and takes 2 d from q's.
    """
    n = len(order)
    lean = _lean(distances, order)
    least = LEAST_GAIN * (lean * lean).sum()
    moved = False
    for start in range(n):
        if not due[order[start]]:
            continue
        due[order[start]] = False
        target = _best_place(distances[order[start]], order, lean, start, least)
        if target != start:
            _move(distances, order, lean, start, target)
            for k in range(min(start, target), max(start, target) + 1):
                due[order[k]] = True
            moved = True
    return moved


@njit(cache=True)
def _best_place(
    row: np.ndarray, order: np.ndarray, lean: np.ndarray, start: int, least: float
) -> int:
    """Where F is largest for the element at `start`, if it gains more than `least` there."""
    own, best, target = 2 * lean[start], least, start
    passed = others = 0.0
    for k in range(start + 1, len(order)):
        d = 2 * row[order[k]]
        passed += d
        others += d * (d - 2 * lean[k])
        gain = others + passed * (own + passed)
        if gain > best:
            best, target = gain, k
    passed = others = 0.0
    for k in range(start - 1, -1, -1):
        d = 2 * row[order[k]]
        passed += d
        others += d * (d + 2 * lean[k])
        gain = others + passed * (passed - own)
        if gain > best:
            best, target = gain, k
    return target


@njit(cache=True)
def _move(
    distances: np.ndarray, order: np.ndarray, lean: np.ndarray, start: int, target: int
) -> None:
    """Takes an element out and puts it in elsewhere; keeps t true."""
    direction = 1 if target > start else -1
    element, own = order[start], lean[start]
    row = distances[element]
    k = start
    while k != target:
        other = order[k + direction]
        own += 2 * row[other] * direction
        order[k], lean[k] = other, lean[k + direction] - 2 * row[other] * direction
        k += direction
    order[target], lean[target] = element, own


@njit(cache=True)
def _reverse(distances: np.ndarray, order: np.ndarray) -> bool:
    """Turns round, from each place on, the run by which F gains most; whether one was turned.

    With w_i the part of t_i that comes from within the run, turning takes 2 w_i from t_i.
    """
    n = len(order)
    turned = False
    lean = _lean(distances, order)
    least = LEAST_GAIN * (lean * lean).sum()
    near = np.empty((n, n))
    _arrange(distances, order, near)
    within = np.empty(n)
    for first in range(n - 1):
        best, target = least, first
        within[first] = 0.0
        for last in range(first + 1, n):
            row = near[last]
            entering, gain = 0.0, 0.0
            for i in range(first, last):
                entering += row[i]
                within[i] -= row[i]
                gain += within[i] * (within[i] - lean[i])
            within[last] = entering
            gain += entering * (entering - lean[last])
            if 4 * gain > best:
                best, target = 4 * gain, last
        if target > first:
            for k in range((target - first + 1) // 2):
                left, right = first + k, target - k
                order[left], order[right] = order[right], order[left]
            lean = _lean(distances, order)
            _arrange(distances, order, near)
            turned = True
    return turned


@njit(cache=True)
def _arrange(distances: np.ndarray, order: np.ndarray, near: np.ndarray) -> None:
    """`near`: the distances in the order."""
    for i in range(len(order)):
        for j in range(len(order)):
            near[i, j] = distances[order[i], order[j]]
