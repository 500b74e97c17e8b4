"""The spread keeps what it promises on crystals that had no part in it."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.ensemble.spread import LEVELS, calibrate, coverage


def errors(count: int, seed: int, floor: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Errors of Laplace's distribution whose scale follows a deviation, and that deviation."""
    random = np.random.default_rng(seed)
    deviation = random.gamma(2.0, size=count)
    return random.laplace(size=count) * np.hypot(3 * deviation, 3 * floor), deviation


def test_intervals_keep_what_they_promise() -> None:
    spread = calibrate(*errors(4000, seed=1))
    kept = coverage(*errors(20000, seed=2), spread)
    assert list(kept) == list(LEVELS)
    for level, share in kept.items():
        assert share == pytest.approx(level, abs=0.025)


def test_intervals_keep_it_whatever_the_distribution() -> None:
    random = np.random.default_rng(3)
    heavy = random.standard_t(1.5, size=6000)
    flat = np.ones(6000)
    kept = coverage(heavy[3000:], flat[3000:], calibrate(heavy[:3000], flat[:3000]))
    assert all(abs(share - level) < 0.03 for level, share in kept.items())


def test_the_floor_is_found() -> None:
    spread = calibrate(*errors(8000, seed=4, floor=2.0))
    assert 1.2 < spread.floor < 3.2
    assert calibrate(*errors(8000, seed=4, floor=0.0)).floor < 0.2


def test_a_deviation_that_says_nothing_is_overruled() -> None:
    random = np.random.default_rng(5)
    deviation = random.gamma(2.0, size=3000)
    spread = calibrate(random.laplace(size=3000), deviation)
    ends = spread.standard(np.quantile(deviation, [0.05, 0.95]))
    assert ends[1] / ends[0] < 1.2


def test_the_standard_deviation_is_that_of_the_errors() -> None:
    off, deviation = errors(20000, seed=6)
    spread = calibrate(off, deviation)
    assert (off / spread.standard(deviation)).std() == pytest.approx(1, abs=0.05)


def test_one_model_has_no_deviation_but_an_error() -> None:
    spread = calibrate(np.array([1.0, -2.0, 3.0]), np.zeros(3))
    assert spread.floor > 0
    assert spread.half_width(np.zeros(2), 0.95) == pytest.approx([3.0, 3.0])


def test_few_errors_give_the_widest_interval() -> None:
    """95 % needs the tenth smallest of 9 errors, so the largest is used."""
    off = np.arange(1.0, 10.0)
    spread = calibrate(off, np.zeros(9))
    assert spread.half_width(np.zeros(1), 0.95)[0] == pytest.approx(9.0)
    assert spread.half_width(np.zeros(1), 0.5)[0] == pytest.approx(5.0)


def test_models_that_are_right_are_certain() -> None:
    spread = calibrate(np.zeros(5), np.zeros(5))
    assert np.isfinite(spread.standard(np.zeros(3))).all()
    assert spread.half_width(np.zeros(3), 0.9).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="no validation errors"):
        calibrate(np.empty(0), np.empty(0))
