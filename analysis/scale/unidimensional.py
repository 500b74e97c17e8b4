"""Metric MDS in one dimension: an order of the elements that preserves distances (thesis 3.1.2).

For a given order the stress Σ_{i<j} (d_ij − |x_i − x_j|)² is least at x_i = t_i / n, with

    t_i = Σ_{j before i} d_ij − Σ_{j after i} d_ij,

and is then Σ_{i<j} d_ij² − Σ_i t_i² / n: the best order maximises F = Σ t_i² (Defays 1978,
Br. J. Math. Stat. Psychol. 31, 49). SMACOF's step (de Leeuw & Mair 2009, 10.18637/jss.v031.i03) is
to sort by t; it ends at the first order that sorts to itself. A local search continues from there:
it moves an element or reverses a run of elements, as long as F grows.

Shape letters: n elements, r restarts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from analysis.scale.orders import lean_of, search

# Restarts that share a random stream. The results are the same for any number of workers.
BLOCK = 250
# Restarts whose F differ by less than this share are one optimum.
SAME = 1e-10


@dataclass(frozen=True, kw_only=True)
class Order:
    """The best of many restarts.

    Attributes:
        order: indices [n] into the matrix, from one end of the axis to the other.
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
    """Searches from `restarts` random orders; `map` may distribute their blocks to workers.

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
        coordinates=lean_of(distances, order) / n,
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
    merits = search(distances, orders)
    return merits, orders[merits.argmax()]
