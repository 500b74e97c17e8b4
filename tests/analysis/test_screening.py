"""Properties of the composition are distinguished from those of the structure."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.screening import FoldScore, Screened, fractions, score_fold, summarise


def compositions(crystals: int = 300) -> np.ndarray:
    random = np.random.default_rng(0)
    numbers = random.integers(1, 30, 2 * crystals)
    atoms = random.integers(1, 5, 2 * crystals)
    return fractions(numbers, atoms, np.repeat(np.arange(crystals), 2), crystals)


def halves(count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(count * 2 // 3), np.arange(count * 2 // 3, count)


def test_shares_of_elements() -> None:
    found = fractions(np.array([8, 26, 8]), np.array([3, 2, 1]), np.array([0, 0, 1]), 2)
    assert found.shape == (2, 103)
    assert found[0, 7] == 0.6 and found[0, 25] == 0.4 and found[1, 7] == 1.0
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    with pytest.raises(ValueError, match="element 104"):
        fractions(np.array([104]), np.array([1]), np.array([0]), 1)


def test_composition_explains_what_is_of_composition() -> None:
    shares = compositions()
    target = 1000 + 50 * shares @ np.arange(103)
    score = score_fold(shares, target, *halves(300))
    assert score.explained > 0.7 and score.error < 0.5 * score.dummy
    noise = np.random.default_rng(1).normal(size=300)
    assert score_fold(shares, noise, *halves(300)).explained < 0.1
    assert score_fold(shares, target, *halves(300)) == score  # the seed decides


def test_two_classes() -> None:
    shares = compositions()
    metal = (shares[:, :10].sum(axis=1) > 0.5).astype(float)
    score = score_fold(shares, metal, *halves(300))
    assert score.dummy == 0.5 and score.error < 0.1 and score.explained > 0.8


@pytest.mark.parametrize(
    ("error", "best", "explained", "enters"),
    [
        (20.0, 10.0, 0.1, True),
        (40.0, 10.0, 0.9, False),
        (50, None, 0.8, True),
        (5, None, 0.5, False),
    ],
)
def test_the_rule(error: float, best: float | None, explained: float, enters: bool) -> None:
    one = Screened(
        task="t",
        crystals=9,
        classes=False,
        error=error,
        dummy=100.0,
        explained=explained,
        best=best,
    )
    assert one.enters == enters


@pytest.mark.parametrize(
    ("forest", "dummy", "best", "thesis"),
    [
        (50.044, 67.285, 33.192, False),  # jdft2d
        (67.613, 323.98, 28.761, True),  # phonons
        (0.4196, 0.8088, 0.2711, False),  # dielectric
        (0.1040, 0.2931, 0.0689, True),  # log_gvrh
        (0.0820, 0.2897, 0.0535, True),  # log_kvrh
        (0.2355, 0.5660, 0.0269, False),  # perovskites
        (0.3452, 1.3272, 0.1559, True),  # mp_gap
        (0.1165, 1.0059, 0.0170, True),  # mp_e_form
    ],
)
def test_the_rule_parts_the_leaderboards_tasks_as_the_thesis_does(
    forest: float, dummy: float, best: float, thesis: bool
) -> None:
    score = FoldScore(error=forest, dummy=dummy, explained=0.0)
    assert summarise("t", np.arange(9.0), [score], best).enters == thesis
