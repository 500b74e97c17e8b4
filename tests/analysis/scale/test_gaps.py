"""The minimum of eq. 3.3: where it is, and that it is one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq, minimize

from analysis.scale.gaps import gradient, minimise, objective, rescaled

REPULSIONS = ("all", "adjacent")


def relations(n: int = 9, seed: int = 3) -> np.ndarray:
    """A symmetric S with many empty pairs, as real ones have."""
    random = np.random.default_rng(seed)
    upper = np.triu(random.exponential(1.0, (n, n)) * (random.random((n, n)) < 0.5), 1)
    return upper + upper.T


def literal(gaps: np.ndarray, pull: np.ndarray, lam: float, eta: float, repulsion: str) -> float:
    """Eq. 3.3 as it is printed, pair by pair."""
    n = len(pull)
    total = eta * (gaps.sum() - n) ** 2
    for i in range(n):
        for j in range(i + 1, n):
            span = gaps[i:j].sum()
            total += pull[i, j] * span
            if repulsion == "all" or j == i + 1:
                total += lam / span
    return float(total)


@pytest.mark.parametrize("repulsion", REPULSIONS)
def test_the_objective_is_the_printed_one(repulsion: str) -> None:
    pull, gaps = relations(), np.random.default_rng(1).random(8) + 0.2
    wanted = literal(gaps, pull, 3.0, 0.1, repulsion)
    assert objective(gaps, pull, 3.0, 0.1, repulsion) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("repulsion", REPULSIONS)
def test_the_gradient_is_that_of_the_objective(repulsion: str) -> None:
    pull, gaps = relations(), np.random.default_rng(1).random(8) + 0.2
    found = gradient(gaps, pull, 3.0, 0.1, repulsion)
    for k in range(8):
        step = np.zeros(8)
        step[k] = 1e-6
        ahead, behind = (literal(gaps + s, pull, 3.0, 0.1, repulsion) for s in (step, -step))
        assert found[k] == pytest.approx((ahead - behind) / 2e-6, rel=1e-6)


def test_two_elements_by_hand() -> None:
    """η (x − 2)² + S x + λ / x has one positive stationary point."""
    pull = np.array([[0.0, 0.7], [0.7, 0.0]])
    wanted = brentq(lambda x: 0.2 * (x - 2) + 0.7 - 5 / x**2, 0.1, 10, xtol=1e-14)
    found = minimise(pull, 5.0)
    assert found.values == pytest.approx([wanted], rel=1e-10)
    assert found.pull == pytest.approx(0.7 * wanted)
    assert found.crowding == pytest.approx(1 / wanted)


@pytest.mark.parametrize("repulsion", REPULSIONS)
@pytest.mark.parametrize("lam", [1e-3, 1.0, 100.0])
def test_no_general_minimiser_finds_less(lam: float, repulsion: str) -> None:
    pull = relations()
    found = minimise(pull, lam, repulsion=repulsion)
    assert found.converged and (found.values > 0).all()
    slope = gradient(found.values, pull, lam, 0.1, repulsion)
    assert np.abs(slope).max() == found.gradient
    assert found.gradient < 1e-7
    best = objective(found.values, pull, lam, 0.1, repulsion)
    for seed in range(3):
        start = np.random.default_rng(seed).random(8) + 0.5
        other = minimize(
            lambda x: literal(x, pull, lam, 0.1, repulsion),
            start,
            bounds=[(1e-4, None)] * 8,
            method="L-BFGS-B",
        )
        assert other.fun >= best * (1 - 1e-9)


def test_an_axis_has_no_direction() -> None:
    pull = relations()
    ahead, back = minimise(pull, 6.0), minimise(pull[::-1, ::-1], 6.0)
    np.testing.assert_allclose(ahead.values, back.values[::-1], rtol=1e-7)


def test_elements_that_replace_each_other_stand_closer() -> None:
    pull = np.zeros((6, 6))
    pull[2, 3] = pull[3, 2] = 50.0
    gaps = minimise(pull, 6.0).values
    assert gaps.argmin() == 2
    assert gaps[2] < 0.5 * np.delete(gaps, 2).min()


def test_positions_run_from_one_to_the_number_of_elements() -> None:
    found = minimise(relations(), 6.0)
    assert found.positions[[0, -1]] == pytest.approx([1.0, 9.0])
    assert np.diff(found.positions) == pytest.approx(rescaled(found.values))
    assert found.variance == pytest.approx(np.diff(found.positions).var())


@pytest.mark.parametrize(
    ("pull", "lam", "eta", "words"),
    [
        (np.zeros((1, 1)), 1.0, 0.1, "two elements"),
        (relations(), 0.0, 0.1, "positive"),
        (relations(), 1.0, -1.0, "positive"),
        (relations(), float("nan"), 0.1, "positive"),
        (np.full((3, 3), np.nan), 1.0, 0.1, "at least 0"),
        (-relations(), 1.0, 0.1, "at least 0"),
    ],
)
def test_bad_input_is_refused(pull: np.ndarray, lam: float, eta: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        minimise(pull, lam, eta)
