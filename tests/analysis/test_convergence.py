"""How trainings ended, and whether they still improved."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analysis.convergence import endings, late_gain


def test_early_at_the_limit_and_still_improving() -> None:
    rows = pd.DataFrame(
        [
            ("cgcnn", 60, 39),  # patience
            ("cgcnn", 100, 60),  # the limit, and converged long before
            ("cgcnn", 100, 90),  # in the last tenth
            ("cgcnn", 100, 89),
            ("megnet", 50, 49),
            ("megnet", 50, None),  # not recorded
        ],
        columns=["backbone", "epochs", "best_epoch"],
        index=list("abcdef"),
    )
    found = endings(rows, [100] * 4 + [50] * 2)
    assert list(found.index) == list("abcdef")
    assert found["at_limit"].tolist() == [False, True, True, True, True, True]
    assert found["late"].tolist() == [False, False, True, False, True, False]


def test_what_the_last_tenth_brought() -> None:
    falling = np.linspace(2.0, 1.0, 101)[1:]
    assert late_gain(falling) == pytest.approx(0.1 / 1.1)
    flat = np.r_[falling, np.full(100, 5.0)]
    assert late_gain(flat) == 0.0
    assert math.isnan(late_gain(np.array([1.0])))
    assert math.isnan(late_gain(np.array([np.inf] * 9 + [1.0])))
