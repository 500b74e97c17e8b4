"""How well a partition of the elements agrees with many clusterings (thesis 3.2.4, eq. 3.10, 3.11).

The score of a partition is the mean over references of the share of pairs on which both agree
(Rand 1971, 10.1080/01621459.1971.10482356), on the elements that the reference has. It is linear
in c_ij = 1 where i and j share a cluster:

    F(c) = F₀ + Σ_{i<j} W_ij c_ij
    W_ij = (1/R) Σ_r w_r m^r_ij (2 a^r_ij − 1)
    F₀ = (1/R) Σ_r w_r Σ_{i<j} m^r_ij (1 − a^r_ij)

with w_r = 2 / (n_r (n_r − 1)), a^r_ij = 1 where i and j share a cluster of r, and m^r_ij = 1 where
r has both. So the references are summed once, and missing elements are handled exactly.

Shape letters: n elements, R references, p partitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit


@dataclass(frozen=True)
class Reference:
    """One clustering: atomic numbers [m], ascending and distinct, and their labels [m]."""

    numbers: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Agreement:
    """The references' joint statement on each pair.

    Attributes:
        numbers: atomic numbers [n], ascending, of all that some reference has.
        weights: W [n, n], symmetric with zero diagonal.
        base: F₀, the score of the partition into single elements.
        references: R.
        shared: references that have both [n, n]; on the diagonal those that have the element.
        together: of these, references that put both into one cluster [n, n].
    """

    numbers: np.ndarray
    weights: np.ndarray
    base: float
    references: int
    shared: np.ndarray
    together: np.ndarray

    def score(self, labels_n: np.ndarray) -> float:
        """F of one partition."""
        return float(self.scores(np.asarray(labels_n)[None])[0])

    def scores(self, labels_pn: np.ndarray) -> np.ndarray:
        """F [p] of many partitions at once."""
        return self.base + gains(np.ascontiguousarray(labels_pn, dtype=np.int64), self.weights)


def agree(references: Sequence[Reference]) -> Agreement:
    """Sums up references; those with fewer than two elements are left out.

    Raises:
        ValueError: no reference has two elements.
    """
    usable = [reference for reference in references if len(reference.numbers) > 1]
    if not usable:
        raise ValueError("no clustering has two elements: there is nothing to agree on")
    numbers = np.unique(np.concatenate([reference.numbers for reference in usable]))
    n = len(numbers)
    weights, base = np.zeros((n, n)), 0.0
    shared, together = np.zeros((n, n), dtype=np.int64), np.zeros((n, n), dtype=np.int64)
    for reference in usable:
        here = np.searchsorted(numbers, reference.numbers)
        share = 2.0 / (len(here) * (len(here) - 1))
        same = reference.labels[:, None] == reference.labels[None]
        pairs = np.ix_(here, here)
        weights[pairs] += np.where(same, share, -share)
        base += share * int((~same).sum()) / 2
        shared[pairs] += 1
        together[pairs] += same
    np.fill_diagonal(weights, 0.0)
    count = len(usable)
    return Agreement(
        numbers=numbers,
        weights=weights / count,
        base=base / count,
        references=count,
        shared=shared,
        together=together,
    )


def canonical(labels_n: np.ndarray) -> np.ndarray:
    """The same partition with labels 0, 1, … in the order of the clusters' first elements."""
    _, first, inverse = np.unique(labels_n, return_index=True, return_inverse=True)
    renamed = np.empty(len(first), dtype=np.int64)
    renamed[np.argsort(first)] = np.arange(len(first))
    return renamed[inverse]


@njit(cache=True)
def gains(labels_pn: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Σ_{i<j} W_ij c_ij [p] of many partitions."""
    p, n = labels_pn.shape
    found = np.zeros(p)
    for row in range(p):
        labels = labels_pn[row]
        total = 0.0
        for i in range(1, n):
            own, line = labels[i], weights[i]
            for j in range(i):
                if labels[j] == own:
                    total += line[j]
        found[row] = total
    return found
