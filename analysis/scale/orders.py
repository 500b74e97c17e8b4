"""The search over orders behind `unidimensional`, compiled by numba on first use.

For an order, t_i = Σ_{j before i} d_ij − Σ_{j after i} d_ij is called the lean of element i, and
F = Σ t_i² its merit. `search` sorts by t until nothing changes, and then moves single elements and
reverses runs of them as long as F grows.

Shape letters: n elements, r restarts.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# Gains below this share of F are rounding: without a limit the search could cycle.
LEAST_GAIN = 1e-13


@njit(cache=True)
def search(distances: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Improves each order [r, n] in place to a local optimum; returns F [r].

    Most restarts end in few orders. Each is proven to be an optimum once per block.
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
        lean = lean_of(distances, order)
        merits[r] = (lean * lean).sum()
    return merits


@njit(cache=True)
def _kinds(distances: np.ndarray) -> np.ndarray:
    """For each element the first one with equal distances to all others: swapping them keeps F."""
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
    """Whether an order of kinds, or its reverse, is among these."""
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
def lean_of(distances: np.ndarray, order: np.ndarray) -> np.ndarray:
    """t [n] in the order."""
    n = len(order)
    places = np.empty(n)
    for k in range(n):
        places[order[k]] = k
    # Element by element in the inner loop, so that it is vectorised with a fixed order of
    # summation: rounding, which decides between orders of equal stress, must not depend on the
    # compiler.
    by_element = np.zeros(n)
    for other in range(n):
        row, place = distances[other], places[other]
        for element in range(n):
            by_element[element] += row[element] if place < places[element] else -row[element]
    return by_element[order]


@njit(cache=True)
def _sort_until_sorted(distances: np.ndarray, order: np.ndarray) -> None:
    """SMACOF's steps in one dimension: sorts by t until nothing moves; F grows."""
    merit = -1.0
    while True:
        lean = lean_of(distances, order)
        grown = (lean * lean).sum()
        if grown <= merit * (1 + LEAST_GAIN):
            return
        merit = grown
        _sort(order, lean)


@njit(cache=True)
def _sort(order: np.ndarray, keys: np.ndarray) -> None:
    """Sorts both by the keys; by insertion, as most are in place."""
    for k in range(1, len(order)):
        element, key = order[k], keys[k]
        free = k
        while free > 0 and keys[free - 1] > key:
            order[free], keys[free] = order[free - 1], keys[free - 1]
            free -= 1
        order[free], keys[free] = element, key


@njit(cache=True)
def _insert(distances: np.ndarray, order: np.ndarray, due: np.ndarray) -> bool:
    """Moves each due element to where F gains most; returns whether one has moved.

    Those that have moved, and those that they passed, are due next, as their t has changed.

    Passing q to the right adds 2 d to t of the moving element and subtracts 2 d from q's.
    """
    n = len(order)
    lean = lean_of(distances, order)
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
    """The position with the largest F for the element at `start`, if it gains more than `least`."""
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
    """Moves an element to another position; updates t."""
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
    """Reverses, from each position on, the run with the largest gain in F; returns whether any was.

    With w_i the part of t_i that comes from within the run, reversing subtracts 2 w_i from t_i.
    """
    n = len(order)
    turned = False
    lean = lean_of(distances, order)
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
            lean = lean_of(distances, order)
            _arrange(distances, order, near)
            turned = True
    return turned


@njit(cache=True)
def _arrange(distances: np.ndarray, order: np.ndarray, near: np.ndarray) -> None:
    """Writes the distances in the order to `near`."""
    for i in range(len(order)):
        for j in range(len(order)):
            near[i, j] = distances[order[i], order[j]]
