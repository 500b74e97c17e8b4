"""Paired differences of folds: intervals corrected for what the folds share."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.paired import holm, paired


def test_without_shared_data_it_is_students_paired_test() -> None:
    values = np.array([0.3, 0.1, 0.5, -0.2, 0.4])
    found = paired(values, 0.0)
    known = stats.ttest_1samp(values, 0.0)
    interval = known.confidence_interval(0.95)
    assert found.p == pytest.approx(known.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert (found.mean, found.pairs) == (pytest.approx(0.22), 5)


def test_shared_data_widen_the_interval() -> None:
    """With five folds, 1/5 becomes 1/5 + 1/4: the interval is one and a half times as wide."""
    values = np.array([0.3, 0.1, 0.5, -0.2, 0.4])
    plain, corrected = paired(values, 0.0), paired(values, 0.25)
    assert corrected.high - corrected.mean == pytest.approx(1.5 * (plain.high - plain.mean))
    assert corrected.p > plain.p


def test_it_errs_as_often_as_it_says_where_folds_share_noise() -> None:
    """Folds with a common error that no fold can see: plain t is fooled, the corrected is not."""
    random = np.random.default_rng(0)
    common = random.normal(size=(4000, 1)) * 0.5
    folds = common + random.normal(size=(4000, 5))
    wrong = {
        share: np.mean([paired(row, share).p < 0.05 for row in folds]) for share in (0.0, 0.25)
    }
    assert wrong[0.0] > 0.09
    assert 0.02 < wrong[0.25] < 0.07


def test_one_pair_establishes_nothing() -> None:
    found = paired([2.0], 0.25)
    assert found.mean == 2 and math.isnan(found.p) and found.high == math.inf
    with pytest.raises(ValueError, match="no folds"):
        paired([], 0.25)


def test_differences_that_do_not_vary() -> None:
    assert paired([0.0, 0.0, 0.0], 0.25).p == 1.0
    assert paired([0.5, 0.5, 0.5], 0.25).p == 0.0


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    adjusted = holm([math.nan, 0.02])
    assert math.isnan(adjusted[0]) and adjusted[1] == 0.02
