"""Each metric against its textbook formula, model by model and pair by pair."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

from analysis.classes import CLASSES, classes_of
from analysis.elements import NUMBERS
from analysis.geometry import INDICATORS, angles, correlate, shape


def textbook(vectors: np.ndarray) -> dict[str, float]:
    """Eq. 3.4 and 3.5 and what follows, in loops."""
    n, d = vectors.shape
    a = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i != j:
                a[i, j] = math.exp(-sum((vectors[i, f] - vectors[j, f]) ** 2 for f in range(d)))
    eigenvalues = sorted(np.linalg.eig(a)[0].real, reverse=True)
    laplacian = np.diag([sum(row) for row in a]) - a
    singular = np.sqrt(np.maximum(sorted(np.linalg.eig(vectors.T @ vectors)[0].real), 0))
    p = [value / sum(singular) for value in singular if value > 0]
    variances = [np.var(vectors[:, f]) for f in range(d)]
    q = [value / sum(variances) for value in variances if value > 0]
    return {
        "spectral_radius": eigenvalues[0],
        "spectral_gap": eigenvalues[0] - eigenvalues[1],
        "fiedler": sorted(np.linalg.eig(laplacian)[0].real)[1],
        "effective_rank": math.exp(-sum(value * math.log(value) for value in p)),
        "entropy": -sum(value * math.log(value) for value in q),
    }


@pytest.mark.parametrize("scale", [0.1, 0.5, 3.0])
def test_shape_is_the_textbooks(scale: float) -> None:
    vectors = scale * np.random.default_rng(0).normal(size=(5, 12, 4))
    found = shape(vectors)
    for row, one in zip(found, vectors, strict=True):
        wanted = textbook(one)
        np.testing.assert_allclose(row, [wanted[name] for name in INDICATORS], rtol=1e-6, atol=1e-9)


def test_shapes_that_are_known() -> None:
    alike = shape(np.zeros((1, 6, 3)))[0]
    # all alike: a full graph of weight 1, eigenvalues n − 1 and −1; nothing to share
    np.testing.assert_allclose(alike, [5.0, 6.0, 6.0, 1.0, 0.0], atol=1e-12)
    axes = np.concatenate([np.eye(4), -np.eye(4)])[None] * 100
    apart = shape(axes)[0]
    np.testing.assert_allclose(apart[:3], 0.0, atol=1e-12)
    np.testing.assert_allclose(apart[3:], [4.0, math.log(4)])


def test_angles() -> None:
    h = np.array([[1.0, 0.0], [1.0, 0.0], [2.0, 2.0], [0.0, 0.0]])
    other = np.array([[0.0, 5.0], [-3.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    found = angles(h, other)
    np.testing.assert_allclose(found[:3], [90.0, 180.0, 0.0], atol=1e-5)
    assert np.isnan(found[3])


def test_the_ten_classes() -> None:
    assert len(CLASSES) == 10
    named = {
        "Li": "alkali metal",
        "Mg": "alkaline earth metal",
        "Fe": "transition metal",
        "La": "lanthanide",
        "Lu": "lanthanide",
        "U": "actinide",
        "Al": "post-transition metal",
        "Si": "metalloid",
        "Cl": "halogen",
        "Xe": "noble gas",
        "H": "non-metal",
    }
    found = classes_of(np.array([NUMBERS[symbol] for symbol in named]))
    assert [CLASSES[place] for place in found] == list(named.values())
    assert set(classes_of(np.arange(1, 119)).tolist()) == set(range(10))


def models(tasks: int = 2, each: int = 6) -> pd.DataFrame:
    random = np.random.default_rng(0)
    count = tasks * each
    return pd.DataFrame(
        {
            "task": np.repeat([f"task{place}" for place in range(tasks)], each),
            "backbone": "cgcnn",
            "mixing": ["H"] * count,
            "error": random.random(count),
            "entropy": random.random(count),
            "dim": [8] * count,
        }
    )


def test_correlations_are_averaged_over_tasks() -> None:
    frame = models()
    found = correlate(frame, ["entropy", "dim"])
    parts = [part for _, part in frame.groupby("task")]
    assert found["indicator"].tolist() == ["entropy"]  # a dimension that never varies says nothing
    row = found.iloc[0]
    wanted = [pearsonr(part["entropy"], part["error"]).statistic for part in parts]
    assert row["pearson"] == pytest.approx(np.mean(wanted))
    wanted = [spearmanr(part["entropy"], part["error"]).statistic for part in parts]
    assert row["spearman"] == pytest.approx(np.mean(wanted))
    assert row["strategy"] == "handcrafted" and row["tasks"] == 2 and row["models"] == 12


def test_too_few_models_have_no_correlation() -> None:
    assert correlate(models(each=2), ["entropy"]).empty
    frame = models()
    frame.loc[frame["task"] == "task1", "entropy"] = np.nan
    assert correlate(frame, ["entropy"]).iloc[0]["tasks"] == 1
