"""Stability of an element's cluster: would other models of the same kind give it too?

The references are resampled with replacement, and the best partition is searched again. Models of
one fold share their training crystals, and those of one dimension their shape, so that whole folds
and whole dimensions are drawn, independently of each other: a model comes as often as its fold
times as often as its dimension (Owen 2007, 10.1214/07-AOAS122). The stability of an element is the
Jaccard index between its clusters in both partitions, averaged over the draws (Hennig 2007,
10.1016/j.csda.2006.11.025, element by element).

Shape letters: n elements, r references.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial

import numpy as np

from analysis.consensus.agreement import Agreement, Reference, agree
from analysis.consensus.memetic import improve_from
from analysis.mapping import Map

DRAWS = 100


def stability(
    references: Sequence[Reference],
    agreement: Agreement,
    labels_n: np.ndarray,
    *,
    factors: Sequence[Sequence[Hashable]] = (),
    draws: int = DRAWS,
    seed: int = 0,
    map: Map = map,
) -> np.ndarray:
    """Mean Jaccard index [n] in 0 to 1; NaN for an element that is in no draw.

    Args:
        agreement: of these references.
        labels_n: their best partition.
        factors: for each of them the level of every reference, as its fold; those of a single
            level are not drawn. If none is left, references are drawn one by one.
    """
    levels = [np.array(_numbered(of_each)) for of_each in factors]
    drawn = [levels_r for levels_r in levels if levels_r.any()]
    drawn = drawn or [np.arange(len(references))]
    seeds = [int(s.generate_state(1)[0]) for s in np.random.SeedSequence(seed).spawn(draws)]
    again = partial(_again, references, drawn, agreement.numbers, labels_n)
    found = np.array(list(map(again, seeds))).reshape(draws, len(labels_n))
    seen = np.isfinite(found).sum(axis=0)
    total = np.nansum(found, axis=0)
    return np.divide(total, seen, out=np.full(len(labels_n), np.nan), where=seen > 0)


def _numbered(levels: Sequence[Hashable]) -> list[int]:
    """Levels as numbers, in the order of their first appearance."""
    known = {level: place for place, level in enumerate(dict.fromkeys(levels))}
    return [known[level] for level in levels]


def _again(
    references: Sequence[Reference],
    factors: Sequence[np.ndarray],
    numbers: np.ndarray,
    labels_n: np.ndarray,
    seed: int,
) -> np.ndarray:
    """Jaccard indices [n] of one draw, NaN for elements that it lacks."""
    random = np.random.default_rng(seed)
    times = np.ones(len(references), dtype=np.int64)
    for levels_r in factors:
        count = int(levels_r.max()) + 1
        times *= np.bincount(random.integers(0, count, count), minlength=count)[levels_r]
    if not times.any():  # no model has a drawn fold and a drawn dimension
        return np.full(len(numbers), np.nan)
    drawn = agree(
        [references[place] for place in np.repeat(np.arange(len(references)), times).tolist()]
    )
    here = np.searchsorted(numbers, drawn.numbers)
    labels = improve_from(labels_n[here], drawn, int(random.integers(2**31)))
    found = np.full(len(numbers), np.nan)
    found[here] = jaccard(labels_n[here], labels)
    return found


def jaccard(one_n: np.ndarray, other_n: np.ndarray) -> np.ndarray:
    """For each element [n]: common members of its two clusters / members of either."""
    one, other = one_n[:, None] == one_n[None], other_n[:, None] == other_n[None]
    return (one & other).sum(axis=1) / (one | other).sum(axis=1)
