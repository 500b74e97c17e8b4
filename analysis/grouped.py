"""Differences between two methods on the same test rows, where rows of one group are alike.

Slabs of one formula share elements and bonds, so that they are no independent witnesses: signs are
flipped a whole group at a time, and intervals take groups as what varies.

Legend: B rows, G groups.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import stdtrit  # scipy.stats takes a second to import

from analysis.paired import LEVEL, Paired

DRAWS = 10_000


def grouped(
    differences: np.ndarray, groups: np.ndarray, *, seed: int = 0, draws: int = DRAWS
) -> Paired:
    """The mean of differences, one method minus the other, with its interval and p.

    p is that of a two-sided test by flipping the signs of groups, where the observed signs are one
    of the drawn ones (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585); the interval is that of
    `mean_interval`.

    Args:
        differences: [B].
        groups: [B] what tells groups apart.

    Returns:
        `pairs` is the number of groups; of one, the interval is infinite, and p NaN. Both ends are
        the mean where groups do not scatter.

    Raises:
        ValueError: no rows.
    """
    if not len(differences):
        raise ValueError("no rows that both have")
    values = np.asarray(differences, float)
    mean = float(values.mean())
    totals_g = np.bincount(np.unique(groups, return_inverse=True)[1], values)
    if len(totals_g) < 2:
        return Paired(mean=mean, low=-math.inf, high=math.inf, p=math.nan, pairs=len(totals_g))
    low, high = mean_interval(values, groups) or (mean, mean)
    flips = 1 - 2 * np.random.default_rng(seed).integers(0, 2, (draws, len(totals_g)))
    # sums that are equal but for their order of adding are equal
    reached = np.abs(flips @ totals_g) >= abs(totals_g.sum()) * (1 - 1e-9) - 1e-12
    p = (1 + int(reached.sum())) / (1 + draws)
    return Paired(mean=mean, low=low, high=high, p=p, pairs=len(totals_g))


def mean_interval(values: np.ndarray, groups: np.ndarray) -> tuple[float, float] | None:
    """Ends of the 95 % interval of the mean of values [B].

    None of a single group, and where groups do not scatter, as the hits of a recall of 0 or 1: that
    says nothing of how far the mean may be off.

    The mean is a ratio of sums over groups, whose error follows from how the groups scatter about
    it (Cochran 1977, Sampling Techniques, eq. 6.13), by Student's t with G - 1 degrees of freedom.
    A bootstrap over few groups is too narrow: with ten, it misses the truth in 13 % of the cases.
    """
    _, of = np.unique(groups, return_inverse=True)
    totals_g, sizes_g = np.bincount(of, np.asarray(values, float)), np.bincount(of)
    count = len(totals_g)
    if count < 2:
        return None
    mean = float(totals_g.sum() / sizes_g.sum())
    apart = (totals_g - mean * sizes_g) / sizes_g.mean()
    scatter = float(apart.std(ddof=1))
    if scatter <= 1e-12 * abs(mean):
        return None
    half = float(stdtrit(count - 1, (1 + LEVEL) / 2)) * scatter / math.sqrt(count)
    return mean - half, mean + half
