"""Differences between two methods on the same folds, and their significance.

Scores of folds are not independent: any two training parts share most of their rows. The variance
of a mean difference is therefore taken as (1/J + n_test/n_train) · s² of J pairs (Nadeau & Bengio
2003, 10.1023/A:1024068626366), against Student's t with J − 1 degrees of freedom. Of several
comparisons with one reference, p is Holm's (1979, https://www.jstor.org/stable/4615733).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit  # Student's t; scipy.stats takes a second to import

# Of five folds, the ratio of a fold's test part to the rest of the data.
FIVE_FOLDS = 1 / 4
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Paired:
    """A mean difference, its confidence interval and its p.

    Attributes:
        mean: of the differences, one value minus the reference's.
        low, high: ends of the 95 % interval; infinite for fewer than two pairs.
        p: two-sided; 1 if nothing differs, NaN for fewer than two pairs.
        pairs: J.
    """

    mean: float
    low: float
    high: float
    p: float
    pairs: int


def paired(differences: Sequence[float] | np.ndarray, test_by_train: float) -> Paired:
    """The mean of differences [J] on J folds, whose test and training parts have a given ratio.

    Raises:
        ValueError: no differences.
    """
    values = np.asarray(differences, dtype=float)
    if not len(values):
        raise ValueError("no folds that both have")
    mean, pairs = float(values.mean()), len(values)
    if pairs < 2:
        return Paired(mean=mean, low=-math.inf, high=math.inf, p=math.nan, pairs=pairs)
    error = math.sqrt((1 / pairs + test_by_train) * float(values.var(ddof=1)))
    half = float(stdtrit(pairs - 1, (1 + LEVEL) / 2)) * error
    certain = math.inf if mean else 0.0  # if all differences are equal
    t = abs(mean) / error if error > 0 else certain
    p = 2 * float(stdtr(pairs - 1, -t))
    return Paired(mean=mean, low=mean - half, high=mean + half, p=p, pairs=pairs)


def holm(values: Sequence[float]) -> list[float]:
    """Holm's adjusted p of several tests; NaN stays NaN and is not counted."""
    known = [k for k, p in enumerate(values) if not math.isnan(p)]
    adjusted = [math.nan] * len(values)
    largest = 0.0
    for rank, k in enumerate(sorted(known, key=lambda k: values[k])):
        largest = max(largest, min(1.0, (len(known) - rank) * values[k]))
        adjusted[k] = largest
    return adjusted
