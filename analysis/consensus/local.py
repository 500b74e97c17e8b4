"""Local search over partitions: moves single elements, joins and splits clusters.

The search keeps T [n, k], the sum of weights between an element and a cluster; moving an element
changes two columns of it, O(n). Labels are 0 to n − 1, and some may be empty.

Shape letters: n elements, k clusters.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# Weights are of the order of 1e-6 to 1e-3 and their sums carry rounding of 1e-16.
LEAST_GAIN = 1e-13


@njit(cache=True)
def improve(labels: np.ndarray, weights: np.ndarray) -> float:
    """Improves a partition [n] in place by all three moves; Σ_{i<j} W_ij c_ij of the result."""
    touching = sums(labels, weights)
    while True:
        move_all(labels, weights, touching)
        if not join_best(labels, touching) and not split_best(labels, weights, touching):
            break
    return total(labels, touching)


@njit(cache=True)
def improve_by_moves(labels: np.ndarray, weights: np.ndarray) -> float:
    """The same with single moves only, always the best one: the baseline for other searches."""
    touching = sums(labels, weights)
    n = len(labels)
    while True:
        best, element, target = LEAST_GAIN, -1, -1
        for i in range(n):
            label, gain = best_target(i, labels, touching)
            if gain > best:
                best, element, target = gain, i, label
        if element < 0:
            break
        move(element, target, labels, weights, touching)
    return total(labels, touching)


@njit(cache=True)
def sums(labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """T [n, n] of a partition."""
    n = len(labels)
    touching = np.zeros((n, n))
    for j in range(n):
        for i in range(n):
            touching[i, labels[j]] += weights[i, j]
    return touching


@njit(cache=True)
def total(labels: np.ndarray, touching: np.ndarray) -> float:
    """Σ_{i<j} W_ij c_ij."""
    found = 0.0
    for i in range(len(labels)):
        found += touching[i, labels[i]]
    return found / 2


@njit(cache=True)
def empty_label(labels: np.ndarray) -> int:
    """A label without elements; -1 if each element is alone."""
    used = np.zeros(len(labels), dtype=np.bool_)
    for label in labels:
        used[label] = True
    for label in range(len(labels)):
        if not used[label]:
            return label
    return -1


@njit(cache=True)
def best_target(element: int, labels: np.ndarray, touching: np.ndarray) -> tuple[int, float]:
    """The label, which may be empty, with the largest gain for one element, and the gain."""
    own = labels[element]
    here = touching[element, own]
    best, target = 0.0, own
    for label in range(len(labels)):
        gain = touching[element, label] - here
        if gain > best:
            best, target = gain, label
    return target, best


@njit(cache=True)
def move(
    element: int, target: int, labels: np.ndarray, weights: np.ndarray, touching: np.ndarray
) -> None:
    """Gives an element another label."""
    own = labels[element]
    for i in range(len(labels)):
        weight = weights[i, element]
        touching[i, own] -= weight
        touching[i, target] += weight
    labels[element] = target


@njit(cache=True)
def move_all(labels: np.ndarray, weights: np.ndarray, touching: np.ndarray) -> None:
    """Moves elements one after the other until no move gains."""
    moved = True
    while moved:
        moved = False
        for element in range(len(labels)):
            target, gain = best_target(element, labels, touching)
            if gain > LEAST_GAIN:
                move(element, target, labels, weights, touching)
                moved = True


@njit(cache=True)
def join_best(labels: np.ndarray, touching: np.ndarray) -> bool:
    """Joins the two clusters with the largest gain; returns whether any were joined."""
    n = len(labels)
    between = np.zeros((n, n))
    for i in range(n):
        for label in range(n):
            between[labels[i], label] += touching[i, label]
    best, kept, gone = LEAST_GAIN, -1, -1
    for a in range(n):
        for b in range(a):
            if between[a, b] > best:
                best, kept, gone = between[a, b], b, a
    if kept < 0:
        return False
    for i in range(n):
        if labels[i] == gone:
            labels[i] = kept
        touching[i, kept] += touching[i, gone]
        touching[i, gone] = 0.0
    return True


@njit(cache=True)
def split_best(labels: np.ndarray, weights: np.ndarray, touching: np.ndarray) -> bool:
    """Splits a cluster if that gains; returns whether one was split.

    From each cluster, elements leave one by one, each time the one that costs least or gains most;
    the best state on the way is kept if it gains at all.
    """
    n = len(labels)
    new = empty_label(labels)
    if new < 0:
        return False
    for cluster in range(n):
        size = 0
        for label in labels:
            size += label == cluster
        if size < 3:  # of two elements, one that leaves is a single move
            continue
        left = np.empty(size - 1, dtype=np.int64)
        gained, best, kept = 0.0, LEAST_GAIN, 0
        for step in range(size - 1):
            leaving, most = -1, -np.inf
            for i in range(n):
                if labels[i] == cluster:
                    gain = touching[i, new] - touching[i, cluster]
                    if gain > most:
                        leaving, most = i, gain
            move(leaving, new, labels, weights, touching)
            left[step] = leaving
            gained += most
            if gained > best:
                best, kept = gained, step + 1
        for step in range(size - 2, kept - 1, -1):
            move(left[step], cluster, labels, weights, touching)
        if kept:
            return True
    return False
