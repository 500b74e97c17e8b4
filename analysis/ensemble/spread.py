"""Calibrates the deviation between models to the error of their mean, on validation.

Errors of property models have heavier tails than a normal distribution, so the scale is that of a
Laplace distribution, and intervals are quantiles of the errors themselves (split conformal
prediction, Vovk et al. 2005, 10.1007/b106715), which need no distribution at all.

With inner folds, the errors are those of models that have not seen the crystal, while the test
part is predicted by the mean of all, whose error is smaller as a rule. So intervals are wider than
they would have to be, and hold more than they promise (compare CV+, Barber et al. 2021,
10.1214/20-AOS1965).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

# Candidate floors, in units of the models' mean deviation: 0 trusts the models' deviation alone, a
# large one makes all crystals equally uncertain.
FLOORS = (0.0, *np.geomspace(0.05, 20, 25).tolist())
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Scale of a crystal's error: u = sqrt(deviation² + floor²), in units of the target.

    Attributes:
        floor: deviation that is added where models agree.
        scale: mean of |error| / u on validation.
        ratios: ascending |error| / u on validation, whose quantiles make intervals.
    """

    floor: float
    scale: float
    ratios: np.ndarray

    def of(self, deviation: np.ndarray) -> np.ndarray:
        """u of crystals, from the models' deviation."""
        return np.sqrt(deviation**2 + self.floor**2)

    def standard(self, deviation: np.ndarray) -> np.ndarray:
        """Standard deviation of the prediction: √2 times the Laplace scale."""
        return math.sqrt(2) * self.scale * self.of(deviation)

    def half_width(self, deviation: np.ndarray, level: float) -> np.ndarray:
        """Half width of the interval that holds the target with probability `level`.

        It is the ⌈(n+1)·level⌉-th smallest of n errors, so that the coverage is at least `level`;
        or the largest if there are fewer, and then the coverage is n/(n+1): of 19 errors 95 %, of
        nine 90 %.
        """
        rank = min(math.ceil((len(self.ratios) + 1) * level), len(self.ratios))
        return np.asarray(self.ratios[rank - 1] * self.of(deviation))


def calibrate(error: np.ndarray, deviation: np.ndarray) -> Spread:
    """The floor of maximum likelihood for errors [V] of models with deviations [V].

    Raises:
        ValueError: no errors.
    """
    if not len(error):
        raise ValueError("no validation errors to calibrate by")
    size = np.abs(error)
    unit = float(deviation.mean()) or float(size.mean()) or 1.0
    best = (math.inf, unit)
    for factor in FLOORS:
        floor = factor * unit
        u = np.sqrt(deviation**2 + floor**2)
        if not u.all():
            continue
        likelihood = float(np.log(u).mean() + math.log(max(float((size / u).mean()), 1e-300)))
        best = min(best, (likelihood, floor))
    floor = best[1]
    ratios = np.sort(size / np.sqrt(deviation**2 + floor**2))
    return Spread(floor=floor, scale=float(ratios.mean()), ratios=ratios)


def widths(deviation: np.ndarray, spread: Spread) -> dict[float, float]:
    """For each level, the mean full width of the intervals, in units of the target."""
    return {level: float(2 * spread.half_width(deviation, level).mean()) for level in LEVELS}


def coverage(error: np.ndarray, deviation: np.ndarray, spread: Spread) -> dict[float, float]:
    """For each level, the share of targets in their interval."""
    return {
        level: float((np.abs(error) <= spread.half_width(deviation, level)).mean())
        for level in LEVELS
    }
