"""Retrieval between two spaces, and baselines: by the nearest composition, and by geometry.

Legend: Q queries, G the gallery, T materials that were learned from, D dimensions, L points of a
profile, Z elements.

Scores are higher for what fits better. Of equal scores the order is unknown: a hit is the
probability of one under a random order, a rank the mean over all orders.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

TOPS = (1, 5, 10)  # recall@k as reported
EQUAL = 9  # decimal places to which two distances are compared


def similarity(members: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """[Q, G] mean over the members of an ensemble of the cosines of their unit vectors.

    Args:
        members: of each, vectors of queries [Q, D] and of the gallery [G, D].
    """
    return np.mean([queries @ gallery.T for queries, gallery in members], axis=0)


def hits(scores: np.ndarray, right: np.ndarray, top: int) -> np.ndarray:
    """[Q] probability that something right is among the `top` of each query.

    Args:
        scores: [Q, G].
        right: [Q, G] bool; each query has something right.
    """
    best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
    above, tied = (scores > best).sum(axis=1), scores == best
    size, good = tied.sum(axis=1), (tied & right).sum(axis=1)
    missed = np.ones(len(scores))
    for drawn in range(min(top, scores.shape[1])):
        wrong = np.maximum(size - good - drawn, 0) / np.maximum(size - drawn, 1)
        missed *= np.where(above + drawn < top, wrong, 1.0)
    return 1 - missed


def ranks(scores: np.ndarray) -> np.ndarray:
    """[Q] rank of each query's own partner, from 1; queries and gallery are in one order."""
    own = np.diag(scores)[:, None]
    return np.asarray((scores > own).sum(axis=1) + ((scores == own).sum(axis=1) + 1) / 2)


def chance(gallery: int, top: int) -> float:
    """Recall@top of a random order, with one partner in the gallery."""
    return min(top, gallery) / gallery


def profile_distances(queries: np.ndarray, others: np.ndarray) -> np.ndarray:
    """[Q, T] root mean square differences of profiles [Q, L] and [T, L], in their unit.

    The smaller of both directions: a slab that is turned over is the same material.
    """

    def of(query: np.ndarray) -> np.ndarray:
        apart = [np.square(others - one).mean(axis=1) for one in (query, query[::-1])]
        return np.sqrt(np.minimum(*apart))

    return np.array([of(query) for query in queries]).reshape(len(queries), len(others))


def depths(profiles: np.ndarray, vacuum: np.ndarray) -> np.ndarray:
    """[G, L] eV of profiles [G, L] below the lower of their vacuum levels [G, 2]; 0 above it."""
    return np.clip(vacuum.min(axis=1)[:, None] - profiles, 0, None)


def correlations(queries: np.ndarray, others: np.ndarray) -> np.ndarray:
    """[Q, G] Pearson's correlations of curves [Q, L] and [G, L]; 0 of a constant.

    The larger of both directions: a slab that is turned over is the same material.
    """

    def of(curves: np.ndarray) -> np.ndarray:
        apart = curves - curves.mean(axis=1, keepdims=True)
        length = np.linalg.norm(apart, axis=1, keepdims=True)
        return np.divide(apart, length, out=np.zeros(apart.shape), where=length > 0)

    query, other = of(queries), of(others)
    return np.round(np.maximum(query @ other.T, query @ other[:, ::-1].T), EQUAL)


def composition_distances(queries: np.ndarray, others: np.ndarray) -> np.ndarray:
    """[Q, T] Euclidean distances of shares of elements [Q, Z] and [T, Z]."""
    squared = np.square(queries).sum(axis=1)[:, None] + np.square(others).sum(axis=1)
    return np.round(np.sqrt(np.maximum(squared - 2 * queries @ others.T, 0)), EQUAL - 2)


def nearest(distances: np.ndarray) -> np.ndarray:
    """[Q, T] weights of the nearest of each query, which add up to 1; those as near share."""
    least = distances.min(axis=1, keepdims=True)
    tied = np.round(distances - least, EQUAL) == 0
    return np.asarray(tied / tied.sum(axis=1, keepdims=True))


def through_neighbours(between: np.ndarray, beyond: np.ndarray) -> np.ndarray:
    """[Q, G] scores of a look-up: the query's nearest learned material stands for it.

    From a crystal, `between` compares compositions and `beyond` profiles; from a profile the other
    way round.

    Args:
        between: [Q, T] distances of the queries to what was learned from.
        beyond: [T, G] distances of that to the gallery.
    """
    return np.round(-nearest(between) @ beyond, EQUAL)


def curve_ends(gallery: int, longest: int = 100) -> list[int]:
    """The k of a curve of recall@k: all small ones, then ever fewer."""
    last = min(gallery, longest)
    steps = np.geomspace(1, last, 40) if last > 1 else np.ones(1)
    return sorted({*range(1, min(last, max(TOPS)) + 1), *(math.floor(one) for one in steps), last})
