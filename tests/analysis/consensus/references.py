"""Synthetic clusterings with a common partition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from analysis.consensus.agreement import Reference
from benchmarks.consensus import made_up


def noisy_references(
    elements: int, models: int, seed: int, *, clusters: int = 12, noise: float = 0.35
) -> list[Reference]:
    """Samples of a common partition with merged clusters and misplaced or missing elements."""
    return made_up(noise, seed, elements=elements, models=models, clusters=clusters)


def literal_score(references: Sequence[Reference], labels_of: dict[int, int]) -> float:
    """Eq. 3.10 and 3.11 of the thesis, pair by pair."""
    scores = []
    for reference in references:
        labels = dict(zip(reference.numbers.tolist(), reference.labels.tolist(), strict=True))
        common = sorted(set(labels) & set(labels_of))
        pairs = [(a, b) for place, a in enumerate(common) for b in common[place + 1 :]]
        same = [(labels[a] == labels[b]) == (labels_of[a] == labels_of[b]) for a, b in pairs]
        scores.append(sum(same) / len(pairs))
    return float(np.mean(scores))


def all_partitions(n: int) -> Iterator[np.ndarray]:
    """Every partition of n elements once, as labels (restricted growth strings)."""

    def grow(labels: list[int]) -> Iterator[np.ndarray]:
        if len(labels) == n:
            yield np.array(labels)
            return
        for label in range(max(labels, default=-1) + 2):
            yield from grow([*labels, label])

    return grow([])
