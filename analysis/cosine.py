"""Cosine distances between element vectors, and their mean over many models.

Z elements of one model, D dims. Sums are indexed by atomic number: [119, 119], row 0 unused.
Equation 4.3 and section 4.2.3 of the thesis: d_ij = 1 − cos, each model's matrix divided by the
median of its non-zero distances, mean over the models that contain both elements.

The keys are cut into chunks of a fixed size and the chunks' sums are added in the order of the
keys, so the result has the same bits for any number of workers that share the chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from analysis.elements import MAX_Z, SYMBOLS
from analysis.mapping import Map

SIZE = MAX_Z + 1
CHUNK = 16
# 1 - cos of two equal vectors rounds to about 1e-16; such a distance is zero, not small.
ZERO = 1e-12

Model = tuple[np.ndarray, np.ndarray]


def cosine_distances(
    vectors_zd: np.ndarray, numbers: Sequence[int] | np.ndarray | None = None
) -> np.ndarray:
    """Distances 1 − cos between rows, [Z, Z] float64 in [0, 2], zero diagonal (eq. 4.3).

    Args:
        vectors_zd: one vector per element.
        numbers: atomic numbers of the rows, for naming an element in an error.

    Raises:
        ValueError: a vector is zero or not finite.
    """
    vectors = np.asarray(vectors_zd, dtype=np.float64)
    norms = np.sqrt(np.einsum("zd,zd->z", vectors, vectors))
    bad = np.flatnonzero(~np.isfinite(norms) | (norms == 0))
    if bad.size:
        row = int(bad[0])
        name = f"row {row}" if numbers is None else f"element {SYMBOLS[int(numbers[row])]}"
        kind = "is zero" if norms[row] == 0 else "is not finite"
        raise ValueError(f"vector of {name} {kind}: it has no direction to compare")
    unit = vectors / norms[:, None]
    # einsum without BLAS: the bits must not depend on a worker's number of threads.
    distances = 1.0 - np.einsum("zd,yd->zy", unit, unit)
    distances = np.clip((distances + distances.T) / 2, 0.0, 2.0)
    distances[distances < ZERO] = 0.0
    np.fill_diagonal(distances, 0.0)
    return distances


def normalised(distances_zz: np.ndarray) -> np.ndarray:
    """Distances divided by the median of the non-zero ones off the diagonal.

    A matrix without a non-zero distance (one element, or all vectors equal) is returned unchanged.
    """
    upper = distances_zz[np.triu_indices(len(distances_zz), k=1)]
    known = upper[upper > 0]
    return distances_zz / np.median(known) if known.size else distances_zz.copy()


@dataclass(frozen=True, kw_only=True)
class DistanceSums:
    """Sums over models of normalised distances; all [119, 119] by atomic number.

    Attributes:
        total: of distances.
        squares: of their squares.
        count: models that have both elements; on the diagonal, that have the element.
    """

    total: np.ndarray
    squares: np.ndarray
    count: np.ndarray

    def mean(self) -> np.ndarray:
        """Mean distance per pair, NaN where no model has both elements."""
        return np.divide(
            self.total, self.count, out=np.full_like(self.total, np.nan), where=self.count > 0
        )

    def spread(self) -> np.ndarray:
        """Standard deviation over models (population), NaN where no model has both elements."""
        mean = self.mean()
        square = np.divide(
            self.squares, self.count, out=np.full_like(mean, np.nan), where=self.count > 0
        )
        return np.sqrt(np.maximum(square - mean**2, 0.0))

    def models(self) -> np.ndarray:
        """Number of models that contain each element, [119] int64."""
        return np.diagonal(self.count).copy()

    def numbers(self) -> np.ndarray:
        """Atomic numbers of the elements in at least one model, ascending."""
        return np.flatnonzero(self.models())


def empty() -> DistanceSums:
    """Sums over no models."""
    return DistanceSums(
        total=np.zeros((SIZE, SIZE)),
        squares=np.zeros((SIZE, SIZE)),
        count=np.zeros((SIZE, SIZE), dtype=np.int64),
    )


def accumulate(models: Sequence[Model]) -> DistanceSums:
    """Sums over models in their order.

    Args:
        models: atomic numbers [Z] and vectors [Z, D] of each model.

    Raises:
        ValueError: numbers that repeat, lie outside 1 to 118 or do not match the vectors.
    """
    sums = empty()
    for numbers, vectors in models:
        z = np.asarray(numbers, dtype=np.int64)
        if z.ndim != 1 or len(z) != len(vectors):
            raise ValueError(f"{z.size} atomic numbers for {len(vectors)} element vectors")
        if z.size and (z.min() < 1 or z.max() > MAX_Z or len(np.unique(z)) != z.size):
            raise ValueError(f"atomic numbers must be distinct and in 1-{MAX_Z}: {z.tolist()}")
        distances = normalised(cosine_distances(vectors, z))
        pairs = np.ix_(z, z)
        sums.total[pairs] += distances
        sums.squares[pairs] += distances**2
        sums.count[pairs] += 1
    return sums


def merge(parts: Iterable[DistanceSums]) -> DistanceSums:
    """Sum of parts, added one after the other in the order given."""
    sums = empty()
    for part in parts:
        np.add(sums.total, part.total, out=sums.total)
        np.add(sums.squares, part.squares, out=sums.squares)
        np.add(sums.count, part.count, out=sums.count)
    return sums


def chunks(keys: Sequence[str], size: int = CHUNK) -> list[list[str]]:
    """Sorted keys in runs of `size`, the last one shorter."""
    ordered = sorted(keys)
    return [ordered[i : i + size] for i in range(0, len(ordered), size)]


def _sum_chunk(
    models_of_chunk: Callable[[Sequence[str]], Sequence[Model]], item: tuple[int, Sequence[str]]
) -> tuple[int, DistanceSums]:
    index, chunk = item
    return index, accumulate(models_of_chunk(chunk))


def aggregate(
    models_of_chunk: Callable[[Sequence[str]], Sequence[Model]],
    keys: Sequence[str],
    map: Map = map,
) -> DistanceSums:
    """Sums over all models.

    Args:
        models_of_chunk: reads the models of some keys, in their order.
        keys: of all models.
        map: may run the chunks anywhere and return their results in any order: they are added in
            the order of the keys.
    """
    parts = list(map(partial(_sum_chunk, models_of_chunk), list(enumerate(chunks(keys)))))
    return merge(part for _, part in sorted(parts, key=lambda indexed: indexed[0]))


def to_frame(sums: DistanceSums, table: str) -> pd.DataFrame:
    """Pairs a < b of known elements: columns table, a, b, distance, spread, models."""
    known = sums.numbers()
    rows, columns = np.triu_indices(len(known), k=1)
    a, b = known[rows], known[columns]
    count = sums.count[a, b]
    kept = count > 0
    a, b = a[kept], b[kept]
    return pd.DataFrame(
        {
            "table": table,
            "a": a.astype(np.uint8),
            "b": b.astype(np.uint8),
            "distance": sums.mean()[a, b],
            "spread": sums.spread()[a, b],
            "models": count[kept],
        }
    )


def to_matrix(frame: pd.DataFrame, table: str) -> tuple[np.ndarray, np.ndarray]:
    """Atomic numbers [n] and mean distances [n, n] of one table; NaN where unknown.

    Args:
        frame: of `to_frame`, of one table or several.

    Raises:
        ValueError: there are no distances of that table.
    """
    rows = frame[frame["table"] == table]
    if rows.empty:
        raise ValueError(f"no distances of table {table!r}; there are {set(frame['table'])}")
    a, b = rows["a"].to_numpy(dtype=np.int64), rows["b"].to_numpy(dtype=np.int64)
    numbers = np.union1d(a, b)
    matrix = np.full((SIZE, SIZE), np.nan)
    matrix[a, b] = matrix[b, a] = rows["distance"].to_numpy(dtype=np.float64)
    matrix[numbers, numbers] = 0.0
    return numbers, matrix[np.ix_(numbers, numbers)]
