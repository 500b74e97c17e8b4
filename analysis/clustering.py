"""K-means of one model's element vectors, and the number of clusters by silhouette.

Each start is improved by single moves (Hartigan & Wong 1979, 10.2307/2346830), whose optima are
among those of the usual alternation (Lloyd's), so a few starts suffice. Compiled, as there are
dozens of clusterings per model and thousands of models.

Shape letters: n elements, d dimensions, k clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

CLUSTERS = tuple(range(2, 11))
STARTS = 10


@dataclass(frozen=True)
class Clustering:
    """Labels [n], 0 to k − 1, and how well they are separated.

    Attributes:
        inertia: sum of squared distances to the clusters' means (eq. 2.2 of the thesis).
        silhouette: mean silhouette coefficient (eq. 3.8 of the thesis; as `silhouette`).
    """

    labels: np.ndarray
    k: int
    inertia: float
    silhouette: float


def cluster(vectors_nd: np.ndarray, k: int, seed: int = 0) -> Clustering:
    """K-means with k clusters, the best of `STARTS` starts.

    Raises:
        ValueError: k is below 2, or there are not more than k distinct vectors, so that a
            silhouette is meaningless; or a vector is not finite.
    """
    vectors = np.ascontiguousarray(vectors_nd, dtype=np.float64)
    if not np.isfinite(vectors).all():
        raise ValueError("vectors that are not finite have no clusters")
    distinct = len(np.unique(vectors, axis=0))
    if not 2 <= k < distinct:
        raise ValueError(f"{k} clusters of {distinct} distinct vectors")
    # Centring keeps the distances and reduces rounding.
    vectors -= vectors.mean(axis=0)
    labels, inertia = _best_start(vectors, k, STARTS, seed)
    return Clustering(labels, k, inertia, silhouette(vectors, labels, k))


def best_clustering(
    vectors_nd: np.ndarray, ks: Sequence[int] = CLUSTERS, seed: int = 0
) -> Clustering:
    """The k whose clustering has the highest silhouette; the smaller one of ties.

    Raises:
        ValueError: fewer than three distinct vectors, or one that is not finite.
    """
    vectors = np.asarray(vectors_nd, dtype=np.float64)
    if not np.isfinite(vectors).all():
        raise ValueError("vectors that are not finite have no clusters")
    distinct = len(np.unique(vectors, axis=0))
    found = [cluster(vectors, k, seed) for k in sorted(ks) if k < distinct]
    if not found:
        raise ValueError(f"{distinct} distinct vectors are too few to cluster")
    return max(found, key=lambda one: (one.silhouette, -one.k))


@njit(cache=True)
def _best_start(vectors: np.ndarray, k: int, starts: int, seed: int) -> tuple[np.ndarray, float]:
    np.random.seed(seed)
    best, least = np.zeros(len(vectors), dtype=np.int64), np.inf
    for _ in range(starts):
        labels = _assign(vectors, _spread_seeds(vectors, k))
        inertia = _move_until_still(vectors, labels, k)
        if inertia < least:
            best, least = labels, inertia
    return best, least


@njit(cache=True)
def _spread_seeds(vectors: np.ndarray, k: int) -> np.ndarray:
    """k of the vectors, each drawn by its squared distance to the previous ones.

    k-means++ (Arthur & Vassilvitskii 2007, 10.5555/1283383.1283494).
    """
    n, d = vectors.shape
    seeds = np.empty((k, d))
    nearest = np.full(n, np.inf)
    chosen = np.random.randint(n)
    for place in range(k):
        seeds[place] = vectors[chosen]
        total = 0.0
        for i in range(n):
            nearest[i] = min(nearest[i], _square(vectors[i], seeds[place]))
            total += nearest[i]
        mark = np.random.random() * total
        chosen = 0
        while chosen < n - 1 and (mark >= nearest[chosen] or nearest[chosen] == 0.0):
            mark -= nearest[chosen]
            chosen += 1
    return seeds


@njit(cache=True)
def _square(a: np.ndarray, b: np.ndarray) -> float:
    total = 0.0
    for f in range(len(a)):
        total += (a[f] - b[f]) ** 2
    return total


@njit(cache=True)
def _assign(vectors: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    labels = np.empty(len(vectors), dtype=np.int64)
    for i in range(len(vectors)):
        least = np.inf
        for place in range(len(seeds)):
            apart = _square(vectors[i], seeds[place])
            if apart < least:
                least, labels[i] = apart, place
    return labels


@njit(cache=True)
def _move_until_still(vectors: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Moves vectors to other clusters as long as that lowers the inertia, which it returns."""
    n, d = vectors.shape
    sizes, means = np.zeros(k), np.zeros((k, d))
    for i in range(n):
        sizes[labels[i]] += 1
        means[labels[i]] += vectors[i]
    for place in range(k):
        means[place] /= max(1.0, sizes[place])
    still = 0
    while still < n:
        for i in range(n):
            own = labels[i]
            still += 1
            if sizes[own] == 1:
                continue
            left = sizes[own] / (sizes[own] - 1) * _square(vectors[i], means[own])
            best, target = left * (1 - 1e-12), own
            for place in range(k):
                if place != own:
                    joined = sizes[place] / (sizes[place] + 1)
                    joined *= _square(vectors[i], means[place])
                    if joined < best:
                        best, target = joined, place
            if target != own:
                for f in range(d):
                    means[own, f] += (means[own, f] - vectors[i, f]) / (sizes[own] - 1)
                    means[target, f] += (vectors[i, f] - means[target, f]) / (sizes[target] + 1)
                sizes[own] -= 1
                sizes[target] += 1
                labels[i] = target
                still = 0
    inertia = 0.0
    for i in range(n):
        inertia += _square(vectors[i], means[labels[i]])
    return inertia


@njit(cache=True)
def silhouette(vectors: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Mean silhouette coefficient; an element alone in its cluster counts 0.

    (b − a) / max(a, b), with a the mean distance to the rest of the own cluster and b the least
    mean distance to another (Rousseeuw 1987, 10.1016/0377-0427(87)90125-7).
    """
    n = len(vectors)
    sizes = np.zeros(k)
    for label in labels:
        sizes[label] += 1
    total = 0.0
    for i in range(n):
        if sizes[labels[i]] <= 1:
            continue
        sums = np.zeros(k)
        for j in range(n):
            sums[labels[j]] += np.sqrt(_square(vectors[i], vectors[j]))
        inside = sums[labels[i]] / (sizes[labels[i]] - 1)
        outside = np.inf
        for place in range(k):
            if place != labels[i] and sizes[place] > 0:
                outside = min(outside, sums[place] / sizes[place])
        total += (outside - inside) / max(inside, outside)
    return total / n
