"""Makes element tables of distilled vectors: their missing rows, and what is said of them.

A table's file (`analysis/element_table.py`) has 118 rows, so a row of an element that no model has
is filled, and flagged in the sidecar.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.cosine import DistanceSums
from analysis.distill import Distilled
from analysis.elements import MAX_Z, SYMBOLS
from analysis.selection import leaks

NEIGHBOURS = 3
PLAIN = "-plain"
USES = {
    True: "input of a network: all columns have the same weight",
    False: "distances between elements, Euclidean ones above all",
}
FILL_RULE = (
    f"an element in no training part gets the mean of the {NEIGHBOURS} seen elements whose "
    "handcrafted descriptors are most similar (cosine; ties to the lower atomic number), "
    "weighted by that similarity"
)


def nearest_seen(
    numbers: Sequence[int] | np.ndarray, descriptor: np.ndarray
) -> dict[int, dict[int, float]]:
    """For each unseen Z the seen elements that stand in for it, Z -> weight, summing to 1.

    If none is similar, the neighbours have equal weights.

    Args:
        numbers: the seen atomic numbers.
        descriptor: [119, 92] by atomic number.
    """
    seen = np.unique(np.asarray(numbers, dtype=np.int64))
    norms = np.linalg.norm(descriptor, axis=1)
    unit = descriptor / np.where(norms > 0, norms, 1.0)[:, None]
    found: dict[int, dict[int, float]] = {}
    for z in sorted(set(range(1, MAX_Z + 1)) - set(seen.tolist())):
        similarity = (unit[seen] @ unit[z]).astype(np.float64)
        # Rounded, so that equal similarities tie for any order of summation.
        order = np.lexsort((seen, -similarity.round(6)))[:NEIGHBOURS]
        weights = np.maximum(similarity[order], 0.0)
        weights = weights if weights.sum() > 0 else np.ones(len(order))
        weights = weights / weights.sum()
        found[z] = {int(seen[i]): float(weight) for i, weight in zip(order, weights, strict=True)}
    return found


def complete(
    numbers: Sequence[int] | np.ndarray, vectors: np.ndarray, descriptor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A table with unseen rows filled by `FILL_RULE`.

    Args:
        numbers: the seen atomic numbers [n].
        vectors: [n, D].
        descriptor: [119, 92] by atomic number.

    Returns:
        The table [118, D], row Z − 1 for element Z, and the mask [118] of seen rows.

    Raises:
        ValueError: no element, or numbers that repeat or are none of an element.
    """
    seen = np.asarray(numbers, dtype=np.int64)
    if not seen.size or len(seen) != len(vectors):
        raise ValueError(f"{len(seen)} atomic numbers for {len(vectors)} element vectors")
    if seen.min() < 1 or seen.max() > MAX_Z or len(np.unique(seen)) != len(seen):
        raise ValueError(f"atomic numbers must be distinct and in 1-{MAX_Z}: {seen.tolist()}")
    table = np.zeros((MAX_Z, vectors.shape[1]), dtype=np.float64)
    table[seen - 1] = vectors
    for z, weights in nearest_seen(seen, descriptor).items():
        table[z - 1] = sum(weight * table[near - 1] for near, weight in weights.items())
    mask = np.zeros(MAX_Z, dtype=bool)
    mask[seen - 1] = True
    return table, mask


def name_of(strategy: str, distilled: Distilled) -> str:
    """The name of a table, as Mat2Vec-S-32, or Mat2Vec-S-32-plain if it is not standardised."""
    end = "" if distilled.standardised else PLAIN
    return f"Mat2Vec-{strategy}-{distilled.vectors.shape[1]}{end}"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def sidecar(
    *,
    strategy: str,
    distilled: Distilled,
    sums: DistanceSums,
    descriptor: np.ndarray,
    tasks: Sequence[str],
    models: int,
    selected_on: str,
    conditions: Sequence[str] = ("",),
) -> dict[str, Any]:
    """Describes a table and the origin of each row; all values are JSON-serialisable.

    `spread` of an element is the mean over partners of the standard deviation over models of
    their normalised distance.

    Args:
        strategy: S, H or L.
        distilled: the table's vectors.
        sums: of the distances behind it.
        descriptor: [119, 92] by atomic number.
        tasks: names of the data sets.
        models: number of models behind it.
        selected_on: column of the ledger by which they were selected.
        conditions: what they learned from within their folds, in words; "" for all.
    """
    rule = {
        "S": f"best mixing and setting of each (task, fold, backbone, dim, seed) by {selected_on}",
        "H": "of each of these the model with mixing H (handcrafted only)",
        "L": "of each of these the model with mixing L (learned only)",
    }
    return {
        "table": name_of(strategy, distilled),
        "standardised": distilled.standardised,
        "use": USES[distilled.standardised],
        "strategy": strategy,
        "dim": int(distilled.vectors.shape[1]),
        "models": int(models),
        "tasks": sorted(tasks),
        "selection": rule.get(strategy, strategy),
        "selected_on": selected_on,
        "conditions": sorted(filter(None, conditions)),
        "selection_leaks_test_data": strategy == "S" and leaks(selected_on),
        "stress_1": _finite(distilled.stress_1),
        "pearson_input_to_cosine": _finite(distilled.pearson),
        "pearson_input_to_euclidean": _finite(distilled.euclidean),
        "cosine_distance_range": [_finite(distilled.cosine_low), _finite(distilled.cosine_high)],
        "pairs_filled": distilled.filled_pairs,
        "fill_rule": FILL_RULE,
        "elements_seen": len(sums.numbers()),
        "elements": _origins(sums, descriptor),
    }


def _origins(sums: DistanceSums, descriptor: np.ndarray) -> dict[str, Any]:
    """By symbol, the origin of each of the 118 rows."""
    numbers = sums.numbers()
    counts, spread = sums.models(), sums.spread()
    filled = nearest_seen(numbers, descriptor)
    elements: dict[str, Any] = {}
    for z in range(1, MAX_Z + 1):
        partners = spread[z][[n for n in numbers if n != z]]
        partners = partners[np.isfinite(partners)]
        near = filled.get(z)
        elements[SYMBOLS[z]] = {
            "seen": near is None,
            "models": int(counts[z]),
            "spread": _finite(partners.mean()) if near is None and partners.size else None,
            "filled_from": None
            if near is None
            else {SYMBOLS[other]: round(weight, 6) for other, weight in near.items()},
        }
    return elements
