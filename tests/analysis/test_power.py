"""The smallest detectable difference, against simulated comparisons."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.paired import paired
from analysis.power import POWER, Spread, detectable, mean_spread, seeds_needed, spread_of

SHARE = 0.25  # of five folds


def established(difference: float, tests: int, runs: int = 4000) -> float:
    """Share of simulated comparisons in which a true difference is established.

    Folds have a variance of 1 beside a common error, with the correlation that is assumed.
    """
    random = np.random.default_rng(0)
    common = random.normal(size=(runs, 1)) * math.sqrt(SHARE)
    folds = difference + common + random.normal(size=(runs, 5))
    return float(np.mean([paired(row, SHARE).p < 0.05 / tests for row in folds]))


@pytest.mark.parametrize("tests", [1, 9])
def test_the_detectable_difference_is_found_four_times_in_five(tests: int) -> None:
    smallest = detectable(1.0, 5, SHARE, tests)
    assert established(smallest, tests) == pytest.approx(POWER, abs=0.02)
    assert established(0.8 * smallest, tests) < POWER - 0.1


def test_five_folds_in_units_of_the_deviation() -> None:
    assert detectable(1.0, 5, SHARE) == pytest.approx(2.52, abs=0.01)
    assert detectable(1.0, 5, SHARE, 9) == pytest.approx(4.60, abs=0.01)
    assert detectable(3.0, 5, SHARE) == pytest.approx(3 * detectable(1.0, 5, SHARE))
    assert detectable(1.0, 1, SHARE) == math.inf and detectable(0.0, 5, SHARE) == 0


def test_seeds_of_a_wanted_difference() -> None:
    """With the number of seeds it is detectable, with one fewer it is not."""
    spread, wanted = Spread(folds=0.01, seeds=1.0), 1.0
    seeds = seeds_needed(wanted, spread, 5, SHARE)
    assert seeds is not None and seeds > 3
    assert detectable(spread.deviation(seeds), 5, SHARE) <= wanted
    assert detectable(spread.deviation(seeds - 1), 5, SHARE) > wanted
    exactly = detectable(Spread(folds=0.0, seeds=1.0).deviation(4), 5, SHARE)
    assert seeds_needed(exactly, Spread(folds=0.0, seeds=1.0), 5, SHARE) == 4
    assert seeds_needed(wanted, Spread(folds=1.0, seeds=1.0), 5, SHARE) is None, "folds alone"
    assert seeds_needed(wanted, spread, 1, SHARE) is None
    assert seeds_needed(wanted, Spread(folds=0.0, seeds=0.0), 5, SHARE) == 1


def test_the_scatter_of_folds_and_seeds_is_told_apart() -> None:
    random = np.random.default_rng(1)
    made = [random.normal(0, 2) + random.normal(0, 3, size=4) for _ in range(4000)]
    found = spread_of(made)
    assert found.folds == pytest.approx(4, rel=0.1) and found.seeds == pytest.approx(9, rel=0.05)
    means = np.var([values.mean() for values in made], ddof=1)
    assert found.deviation(4) == pytest.approx(math.sqrt(means))


def test_what_one_seed_tells() -> None:
    one = [np.array([value]) for value in (1.0, 2.0, 4.0)]
    assert spread_of(one) == Spread(folds=0.0, seeds=pytest.approx(7 / 3))
    with pytest.raises(ValueError, match="one fold"):
        spread_of(one[:1])
    assert mean_spread([Spread(1.0, 2.0), Spread(3.0, 6.0)]) == Spread(2.0, 4.0)
