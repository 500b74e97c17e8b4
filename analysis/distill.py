"""Distills a matrix of distances into a table of element vectors (thesis 4.2.3).

Metric MDS (SMACOF; de Leeuw & Mair 2009, 10.18637/jss.v031.i03) finds points whose Euclidean
distances approximate the aggregated ones; the columns are then standardised, or not.

Standardising gives each column the same weight, which a network that is fed with a table wants, and
changes the distances: between elements, those of a table that is not standardised (*plain*) are
nearer to the aggregated ones.

Shape letters: n elements, D dims.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import pdist
from threadpoolctl import threadpool_limits

from analysis.cosine import cosine_distances
from analysis.paths import find_shortest_paths


@dataclass(frozen=True, kw_only=True)
class Distilled:
    """A table's vectors, and how well they preserve the distances.

    Attributes:
        vectors: [n, D] float64, with centred columns.
        standardised: whether the columns have a deviation of 1, or that of the MDS.
        stress_1: stress-1 of the MDS before standardising; 0 is perfect (Kruskal 1964,
            10.1007/BF02289565; eq. 2.1 of the thesis).
        pearson: correlation of the given distances with the vectors' cosine distances, over all
            pairs; NaN where either is constant.
        euclidean: the same with their Euclidean distances.
        cosine_low, cosine_high: the span of the latter.
        filled_pairs: pairs that no model had.
    """

    vectors: np.ndarray
    standardised: bool
    stress_1: float
    pearson: float
    euclidean: float
    cosine_low: float
    cosine_high: float
    filled_pairs: int


def fill_missing(distances_nn: np.ndarray) -> np.ndarray:
    """Replaces NaN in the distances.

    A pair that no model has gets the shortest path through known pairs, but at most the largest
    known distance; a pair that no path joins gets the median of the known ones.

    Raises:
        ValueError: no pair is known.
    """
    known = np.isfinite(distances_nn)
    np.fill_diagonal(known, False)
    if not known.any():
        raise ValueError("no pair of elements has a known distance: nothing to distil")
    paths = find_shortest_paths(np.where(known, distances_nn, np.inf))
    capped = np.minimum(paths, distances_nn[known].max())
    guess = np.where(np.isfinite(paths), capped, np.median(distances_nn[known]))
    filled = np.where(known, distances_nn, guess)
    np.fill_diagonal(filled, 0.0)
    return filled


def standardised(vectors_nd: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and standard deviation 1; a constant column becomes 0."""
    centred = vectors_nd - vectors_nd.mean(axis=0)
    scale = centred.std(axis=0)
    constant = scale <= 1e-9 * max(float(scale.max(initial=0.0)), 1e-300)
    return np.where(constant, 0.0, centred / np.where(constant, 1.0, scale))


def check_distances(distances_nn: np.ndarray, numbers: Sequence[int] | np.ndarray) -> None:
    """Validates a matrix of distances.

    Raises:
        ValueError: it is not square, symmetric and at least 0, or does not fit the numbers.
    """
    n = len(numbers)
    if distances_nn.shape != (n, n):
        raise ValueError(f"distances have shape {distances_nn.shape}, expected {(n, n)}")
    if n < 2:
        raise ValueError(f"{n} element(s): a table needs at least two to have a distance")
    if not np.allclose(distances_nn, distances_nn.T, rtol=0, atol=1e-9, equal_nan=True):
        raise ValueError("distances are not symmetric")
    if np.nanmin(distances_nn, initial=0.0) < 0:
        raise ValueError("distances are negative")


def distill(
    distances_nn: np.ndarray,
    numbers: Sequence[int] | np.ndarray,
    dim: int,
    seed: int = 42,
    n_init: int = 8,
    max_iter: int = 2000,
) -> tuple[Distilled, Distilled]:
    """Vectors [n, D] whose geometry preserves given distances: standardised, and plain.

    Args:
        distances_nn: NaN marks an unknown pair.
        numbers: atomic numbers of the rows [n].
        dim: D.
        seed, n_init, max_iter: of the MDS, which keeps the best of its random starts; the defaults
            are the thesis'.

    Raises:
        ValueError: the matrix is not one of distances, or all of them are zero.
    """
    distances = np.asarray(distances_nn, dtype=np.float64)
    check_distances(distances, numbers)
    filled = fill_missing(distances)
    if not filled.any():
        raise ValueError("all distances are zero: the models do not tell the elements apart")
    points, stress = _scaled(filled, dim, seed, n_init, max_iter)
    upper = np.triu_indices(len(points), k=1)
    unknown = int(np.isnan(distances[upper]).sum())
    centred = points - points.mean(axis=0)

    def table(vectors: np.ndarray, standard: bool) -> Distilled:
        cosine = cosine_distances(vectors, numbers)[upper]
        return Distilled(
            vectors=vectors,
            standardised=standard,
            stress_1=stress,
            pearson=_correlation(filled[upper], cosine),
            euclidean=_correlation(filled[upper], pdist(vectors)),
            cosine_low=float(cosine.min()),
            cosine_high=float(cosine.max()),
            filled_pairs=unknown,
        )

    return table(standardised(points), True), table(centred, False)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's; NaN where either is constant."""
    varied = len(one) > 1 and np.ptp(one) > 0 and np.ptp(other) > 0
    return float(np.corrcoef(one, other)[0, 1]) if varied else float("nan")


def _scaled(
    distances_nn: np.ndarray, dim: int, seed: int, n_init: int, max_iter: int
) -> tuple[np.ndarray, float]:
    """Points [n, D] by metric MDS, and their stress-1."""
    # Imported here: it takes a second, and reading tables does not need it.
    from sklearn.manifold import MDS

    scaling = MDS(
        n_components=dim,
        metric="precomputed",
        metric_mds=True,
        n_init=n_init,
        init="random",
        max_iter=max_iter,
        random_state=seed,
        normalized_stress=True,
    )
    # One BLAS thread: the bits must not depend on the machine's number of cores.
    with threadpool_limits(limits=1):
        points = scaling.fit_transform((distances_nn + distances_nn.T) / 2)
    return points, float(scaling.stress_)
