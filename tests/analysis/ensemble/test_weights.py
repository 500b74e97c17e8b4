"""Weights of an ensemble: right on the crystals they see, chosen on those they do not."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from analysis.ensemble.combining import combine
from analysis.ensemble.weights import area_errors, blend, ways_for


def noisy(models: int, crystals: int, seed: int, noise: float = 1.0) -> tuple[np.ndarray, ...]:
    """Predictions [M, V] that are off by noise of their own, and the truth [V]."""
    random = np.random.default_rng(seed)
    truth = random.normal(size=crystals) * 10
    return truth + noise * random.normal(size=(models, crystals)), truth


WAYS = ways_for(classes=False)[1]


@pytest.mark.parametrize("name", WAYS)
def test_weights_are_a_mean(name: str) -> None:
    predictions, truth = noisy(7, 40, seed=1)
    weights = WAYS[name](predictions, truth)
    assert weights.shape == (7,) and (weights >= 0).all()
    assert weights.sum() == pytest.approx(1, abs=1e-12)


def test_fitted_weights_have_the_least_error_of_all() -> None:
    predictions, truth = noisy(2, 31, seed=2)
    weights = WAYS["fitted"](predictions, truth)
    grid = np.linspace(0, 1, 2001)
    errors = [np.abs(w * predictions[0] + (1 - w) * predictions[1] - truth).mean() for w in grid]
    assert np.abs(weights @ predictions - truth).mean() <= min(errors) + 1e-9


def test_fitted_weights_find_the_mixture_that_made_the_target() -> None:
    predictions, _ = noisy(5, 60, seed=3)
    secret = np.array([0.5, 0.0, 0.2, 0.3, 0.0])
    assert WAYS["fitted"](predictions, secret @ predictions) == pytest.approx(secret, abs=1e-7)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_units_do_not_matter(unit: float) -> None:
    predictions, truth = noisy(6, 50, seed=4)
    for way in WAYS.values():
        assert way(predictions * unit, truth * unit) == pytest.approx(
            way(predictions, truth), abs=1e-5
        )


def test_greedy_beats_every_single_model_where_it_was_chosen() -> None:
    predictions, truth = noisy(9, 80, seed=5)
    greedy = np.abs(WAYS["greedy"](predictions, truth) @ predictions - truth).mean()
    assert greedy < np.abs(predictions - truth).mean(axis=1).min()


def test_greedy_keeps_to_one_model_that_is_right() -> None:
    predictions, truth = noisy(4, 30, seed=6)
    predictions[2] = truth
    assert WAYS["greedy"](predictions, truth).tolist() == [0, 0, 1, 0]


def test_what_fits_best_is_not_chosen_where_it_has_only_memorised() -> None:
    """With 60 equally good models, weights can be fitted to 12 crystals without any error."""
    predictions, truth = noisy(60, 12, seed=7)
    seen = {name: np.abs(way(predictions, truth) @ predictions - truth).mean()
            for name, way in WAYS.items()}  # fmt: skip
    assert min(seen, key=lambda name: seen[name]) == "fitted"
    found = blend(predictions, truth, seed=0)
    assert found.way == "mean"
    assert found.errors["fitted"] > 3 * seen["fitted"]


def test_a_bad_model_gets_no_weight() -> None:
    predictions, truth = noisy(3, 200, seed=8)
    predictions[1] += 50
    found = blend(predictions, truth, seed=0)
    assert found.way in ("greedy", "fitted")
    assert found.weights[1] < 0.01


def test_crossed_predictions_have_not_seen_the_crystal() -> None:
    predictions, truth = noisy(5, 25, seed=9)
    found = blend(predictions, truth, seed=0)
    moved = truth.copy()
    moved[3] += 1000
    again = blend(predictions, moved, seed=0)
    if again.way == found.way:
        assert again.crossed[3] == found.crossed[3]
    assert found.errors[found.way] == pytest.approx(np.abs(found.crossed - truth).mean())


def test_the_same_seed_gives_the_same_bits() -> None:
    predictions, truth = noisy(6, 33, seed=10)
    assert np.array_equal(
        blend(predictions, truth, seed=4).crossed, blend(predictions, truth, seed=4).crossed
    )


def test_one_model_and_one_crystal() -> None:
    found = blend(np.array([[2.0]]), np.array([3.0]), seed=0)
    assert found.weights.tolist() == [1.0] and found.crossed.tolist() == [2.0]
    assert found.crossed_spread.tolist() == [0.0]


def test_combine_is_the_weighted_mean_and_deviation() -> None:
    predictions, _ = noisy(4, 6, seed=11)
    weights = np.array([0.1, 0.2, 0.3, 0.4])
    mean, deviation = combine(weights, predictions)
    assert mean == pytest.approx(np.average(predictions, axis=0, weights=weights))
    squares = np.average((predictions - mean) ** 2, axis=0, weights=weights)
    assert deviation == pytest.approx(np.sqrt(squares))


def test_a_target_of_zeros_is_no_division() -> None:
    weights = WAYS["fitted"](np.array([[1.0, 1.0], [0.0, 0.0]]), np.zeros(2))
    assert weights == pytest.approx([0, 1], abs=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    predictions, truth = noisy(3, 5, seed=12)
    predictions[0, 0] = bad
    with pytest.raises(ValueError, match="not finite"):
        blend(predictions, truth, seed=0)
    with pytest.raises(ValueError, match="0 models"):
        blend(np.empty((0, 5)), truth, seed=0)


def guesses(seed: int = 3, crystals: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of four models, the later the better, and classes."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(crystals) < 0.3).astype(float)
    noise = rng.normal(size=(4, crystals)) * np.array([[4.0], [2.0], [1.0], [1.0]])
    return 1 / (1 + np.exp(-(2 * truth - 1 + noise).round(1))), truth


def test_areas_are_those_of_scikit_learn() -> None:
    predictions, truth = guesses()
    found = area_errors(predictions, truth)
    known = [1 - roc_auc_score(truth, prediction) for prediction in predictions]
    np.testing.assert_allclose(found, known, atol=1e-12)
    assert area_errors(predictions, np.zeros(90)).tolist() == [0.5] * 4


def test_classes_are_weighed_by_the_area_under_the_curve() -> None:
    predictions, truth = guesses()
    found = blend(predictions, truth, seed=0, classes=True)
    assert set(found.errors) == {"best", "mean", "greedy"}
    assert found.way == min(found.errors, key=lambda way: found.errors[way])
    assert found.weights.sum() == pytest.approx(1) and (found.weights >= 0).all()
    best = ways_for(classes=True)[1]["best"](predictions, truth)
    assert best.argmax() == area_errors(predictions, truth).argmin()
    assert found.errors["greedy"] < area_errors(predictions, truth).min() + 0.05
