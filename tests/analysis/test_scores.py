"""The leaderboard's scores, and the area under the curve that it does not compute."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics

from analysis.scores import classification_scores, r_squared, regression_scores


def test_regression_against_scikit_learn() -> None:
    random = np.random.default_rng(0)
    target, guess = random.normal(size=(2, 50))
    found = regression_scores(target, guess)
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(target, guess))
    assert found["rmse"] == pytest.approx(math.sqrt(metrics.mean_squared_error(target, guess)))
    assert found["max_error"] == pytest.approx(metrics.max_error(target, guess))
    assert found["mape"] == pytest.approx(metrics.mean_absolute_percentage_error(target, guess))


def test_targets_of_nothing_have_no_relative_error() -> None:
    target, guess = np.array([0.0, 1e-6, 2.0]), np.array([1.0, 1.0, 1.0])
    assert regression_scores(target, guess)["mape"] == pytest.approx(0.5)
    assert math.isnan(regression_scores(np.zeros(2), np.ones(2))["mape"])


def test_the_two_areas_differ_and_the_leaderboards_is_the_balanced_accuracy() -> None:
    target = np.array([0, 0, 0, 1, 1, 1])
    probability = np.array([0.1, 0.2, 0.6, 0.4, 0.7, 0.9])
    found = classification_scores(target, probability)
    assert found["roc_auc"] == pytest.approx(8 / 9)
    assert found["rocauc_labels"] == pytest.approx(2 / 3)
    assert found["rocauc_labels"] == pytest.approx(found["balanced_accuracy"])
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["f1"] == pytest.approx(2 / 3)


def test_one_class_alone_has_no_curve() -> None:
    found = classification_scores(np.ones(3), np.array([0.2, 0.6, 0.9]))
    assert math.isnan(found["roc_auc"]) and math.isnan(found["rocauc_labels"])
    assert found["accuracy"] == pytest.approx(2 / 3)


def test_r_squared() -> None:
    target = np.array([1.0, 2.0, 3.0])
    assert r_squared(target, target) == 1
    assert r_squared(target, np.full(3, 2.0)) == 0
    assert r_squared(target, target + 1) == pytest.approx(-0.5)
    assert math.isnan(r_squared(np.ones(3), target))
