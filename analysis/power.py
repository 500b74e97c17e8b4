"""How small a difference a paired comparison can establish, and how many seeds a wanted one takes.

A difference d between two methods, measured on J folds whose differences have the deviation s,
gives `paired`'s t a noncentral t distribution of J − 1 degrees of freedom and noncentrality
d / √((1/J + n_test/n_train) s²): exactly so if all pairs of folds are correlated as Nadeau & Bengio
(2003, 10.1023/A:1024068626366) assume. Of m comparisons, Holm's first step tests each at α/m.

Legend: S seeds; J folds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import nctdtrinc, stdtrit  # scipy.stats takes a second to import

from analysis.paired import LEVEL

POWER = 0.8


@dataclass(frozen=True)
class Spread:
    """Where differences between two methods scatter.

    Attributes:
        folds: variance of a fold's difference that no number of seeds reduces.
        seeds: variance of the difference of two single models of one fold, between seeds.
    """

    folds: float
    seeds: float

    def deviation(self, seeds: int) -> float:
        """The deviation of a fold's difference that is the mean over some seeds."""
        return math.sqrt(self.folds + self.seeds / seeds)


def detectable(deviation: float, pairs: int, test_by_train: float, tests: int = 1) -> float:
    """The smallest true difference that is established with a probability of 80 %.

    Args:
        deviation: of the differences [J] of the folds.
        pairs: J.
        test_by_train: ratio of the sizes of a fold's test and training parts.
        tests: comparisons with one reference, as Holm's first step counts them.

    Returns:
        In the unit of the deviation; infinite for fewer than two pairs.
    """
    if pairs < 2:
        return math.inf
    critical = float(stdtrit(pairs - 1, 1 - (1 - LEVEL) / 2 / tests))
    # The other tail, a difference established with the wrong sign, is too rare to count.
    noncentrality = float(nctdtrinc(pairs - 1, 1 - POWER, critical))
    return noncentrality * math.sqrt(1 / pairs + test_by_train) * deviation


def seeds_needed(
    wanted: float, spread: Spread, pairs: int, test_by_train: float, tests: int = 1
) -> int | None:
    """The least number of seeds with which a difference is detectable; None if no number is."""
    unit = detectable(1.0, pairs, test_by_train, tests)
    room = (wanted / unit) ** 2 - spread.folds if math.isfinite(unit) else 0.0
    if room <= 0:
        return None if spread.folds or spread.seeds or not math.isfinite(unit) else 1
    return max(1, math.ceil(spread.seeds / room * (1 - 1e-12)))  # not one more by rounding


def spread_of(differences: Sequence[np.ndarray]) -> Spread:
    """Divides the scatter of differences [J][S] into what folds and what seeds contribute.

    Where no fold has two seeds, the two cannot be told apart, and all counts as the seeds'.

    Raises:
        ValueError: fewer than two folds.
    """
    folds = [np.asarray(values, dtype=float) for values in differences]
    if len(folds) < 2:
        raise ValueError("the scatter of one fold is not known")
    free = sum(len(values) - 1 for values in folds)
    between = float(np.var([values.mean() for values in folds], ddof=1))
    if not free:
        return Spread(folds=0.0, seeds=between)
    within = sum(float(((values - values.mean()) ** 2).sum()) for values in folds) / free
    of_means = within * float(np.mean([1 / len(values) for values in folds]))
    return Spread(folds=max(0.0, between - of_means), seeds=within)


def mean_spread(spreads: Sequence[Spread]) -> Spread:
    """The mean variances of several comparisons."""
    return Spread(
        folds=float(np.mean([one.folds for one in spreads])),
        seeds=float(np.mean([one.seeds for one in spreads])),
    )
