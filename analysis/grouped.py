"""Differences between two methods on the same test rows, where rows of one group are alike.

Slabs of one formula share elements and bonds, so that they are no independent witnesses: signs are
flipped, and rows drawn again, a whole group at a time.

Legend: B rows, G groups.
"""

from __future__ import annotations

import math

import numpy as np

from analysis.paired import LEVEL, Paired

DRAWS = 10_000


def grouped(
    differences: np.ndarray, groups: np.ndarray, *, seed: int = 0, draws: int = DRAWS
) -> Paired:
    """The mean of differences, one method minus the other, with its interval and p.

    p is that of a two-sided test by flipping the signs of groups, where the observed signs are one
    of the drawn ones (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585); the interval has the
    percentiles of a bootstrap over groups (Efron & Tibshirani 1993, doi:10.1201/9780429246593).

    Args:
        differences: [B].
        groups: [B] what tells groups apart.

    Returns:
        `pairs` is the number of groups; of one, the interval is infinite, and p NaN.

    Raises:
        ValueError: no rows.
    """
    if not len(differences):
        raise ValueError("no rows that both have")
    _, of = np.unique(groups, return_inverse=True)
    totals_g, sizes_g = np.bincount(of, np.asarray(differences, float)), np.bincount(of)
    mean, count = float(np.mean(differences)), len(totals_g)
    if count < 2:
        return Paired(mean=mean, low=-math.inf, high=math.inf, p=math.nan, pairs=count)
    draw = np.random.default_rng(seed)
    flipped = np.abs((1 - 2 * draw.integers(0, 2, (draws, count))) @ totals_g)
    # sums that are equal but for their order of adding are equal
    reached = flipped >= abs(totals_g.sum()) * (1 - 1e-9) - 1e-12
    low, high = _percentiles(totals_g, sizes_g, draw, draws)
    p = (1 + int(reached.sum())) / (1 + draws)
    return Paired(mean=mean, low=low, high=high, p=p, pairs=count)


def mean_interval(
    values: np.ndarray, groups: np.ndarray, *, seed: int = 0, draws: int = DRAWS
) -> tuple[float, float] | None:
    """Ends of the 95 % interval of the mean of values [B], as above; None of a single group."""
    _, of = np.unique(groups, return_inverse=True)
    totals_g, sizes_g = np.bincount(of, np.asarray(values, float)), np.bincount(of)
    if len(totals_g) < 2:
        return None
    return _percentiles(totals_g, sizes_g, np.random.default_rng(seed), draws)


def _percentiles(
    totals_g: np.ndarray, sizes_g: np.ndarray, draw: np.random.Generator, draws: int
) -> tuple[float, float]:
    count = len(totals_g)
    times = draw.multinomial(count, np.full(count, 1 / count), draws)
    means = (times @ totals_g) / (times @ sizes_g)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
