"""Which models say the same: twins, of which one has a vote.

A model of γ = −4 has the vectors of H but for a ten-thousandth, so that counting both counts the
handcrafted vectors twice.

Shape letters: n elements, D dims, p pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import pdist

ALIKE = 0.999


def distinct(models: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[int]:
    """Places of the models that are no twin of an earlier one that has a vote.

    Twins have the same elements, and distances that correlate above 0.999 over the pairs.

    Args:
        models: atomic numbers [n] and vectors [n, D] of each.
    """
    votes: list[int] = []
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    for place, (numbers, vectors) in enumerate(models):
        order = np.argsort(numbers)
        own = numbers[order], _pairs(vectors[order])
        if not any(_alike(own, other) for other in kept):
            votes.append(place)
            kept.append(own)
    return votes


def _pairs(vectors_nd: np.ndarray) -> np.ndarray:
    """Euclidean distances [p], centred and of unit length; zeros if all are equal."""
    distances = pdist(vectors_nd)
    centred = distances - distances.mean() if len(distances) else distances
    length = float(np.linalg.norm(centred))
    return centred / length if length > 0 else centred


def _alike(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> bool:
    same = np.array_equal(one[0], other[0])
    return same and float(one[1] @ other[1]) > ALIKE
