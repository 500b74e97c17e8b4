"""Mantel tests: do two matrices of relations between elements agree? (1967, Cancer Res. 27, 209)

Pairs are not independent, as each element is in many; so the significance comes from permuting the
elements of one matrix at random. Shape letters: n elements.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

PERMUTATIONS = 999


@dataclass(frozen=True, kw_only=True)
class Mantel:
    """Spearman's correlation over pairs, and the share of permutations that reach it.

    Attributes:
        elements: n.
        pairs: n(n − 1)/2.
        correlation: of ranks, −1 to 1; NaN if all pairs of one matrix are equal.
        p: (1 + permutations whose |correlation| is as large) / (1 + permutations).
    """

    elements: int
    pairs: int
    correlation: float
    p: float


def compare(
    one_nn: np.ndarray, other_nn: np.ndarray, permutations: int = PERMUTATIONS, seed: int = 0
) -> Mantel:
    """Compares two symmetric matrices; their diagonals are ignored.

    Raises:
        ValueError: shapes differ, fewer than four elements, or a value off the diagonal is NaN.
    """
    n = len(one_nn)
    if one_nn.shape != (n, n) or other_nn.shape != (n, n) or n < 4:
        raise ValueError(f"matrices of {one_nn.shape} and {other_nn.shape}; four elements at least")
    upper = np.triu_indices(n, 1)
    ranks = [rankdata(matrix[upper]) for matrix in (one_nn, other_nn)]
    if not all(np.isfinite(matrix[upper]).all() for matrix in (one_nn, other_nn)):
        raise ValueError("a relation is not known; compare on elements whose relations are")
    one, other = (values - values.mean() for values in ranks)
    scale = float(np.sqrt((one @ one) * (other @ other)))
    if scale == 0:
        return Mantel(elements=n, pairs=len(one), correlation=float("nan"), p=1.0)
    square = np.zeros((n, n))
    square[upper] = other
    square += square.T
    observed = float(one @ other) / scale
    random = np.random.default_rng(seed)
    as_large = 0
    for _ in range(permutations):
        order = random.permutation(n)
        renamed = square[order[upper[0]], order[upper[1]]]
        as_large += abs(float(one @ renamed)) / scale >= abs(observed) - 1e-12
    p = (1 + as_large) / (1 + permutations)
    return Mantel(elements=n, pairs=len(one), correlation=observed, p=p)
