"""MDS in one dimension: the best order, whoever searches."""

from __future__ import annotations

import itertools
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.manifold import MDS

from analysis.scale.unidimensional import BLOCK, find_order


def distances(n: int, seed: int = 0, spread: float = 2.0) -> np.ndarray:
    """Symmetric, of widely different sizes, no geometry behind them."""
    upper = np.triu(np.exp(spread * np.random.default_rng(seed).standard_normal((n, n))), 1)
    return upper + upper.T


def merit(matrix: np.ndarray, order: np.ndarray) -> float:
    """F = Σ t², by its definition."""
    total = 0.0
    for k, i in enumerate(order):
        before, after = matrix[i, order[:k]].sum(), matrix[i, order[k + 1 :]].sum()
        total += (before - after) ** 2
    return total


@pytest.mark.parametrize("seed", range(4))
def test_no_order_of_seven_is_better(seed: int) -> None:
    matrix = distances(7, seed)
    best = max(merit(matrix, np.array(order)) for order in itertools.permutations(range(7)))
    found = find_order(matrix, restarts=20, seed=1)
    assert merit(matrix, found.order) == pytest.approx(best, rel=1e-12)
    assert found.stress == pytest.approx((matrix**2).sum() / 2 - best / 7, rel=1e-9)


def stress_of(matrix: np.ndarray, coordinates: np.ndarray) -> float:
    apart = np.abs(coordinates[:, None] - coordinates[None])
    return float(((matrix - apart) ** 2).sum() / 2)


def test_the_stress_is_that_of_the_coordinates() -> None:
    matrix = distances(20)
    found = find_order(matrix, restarts=10, seed=1)
    assert (np.diff(found.coordinates) >= 0).all()
    inside = matrix[np.ix_(found.order, found.order)]
    assert stress_of(inside, found.coordinates) == pytest.approx(found.stress, rel=1e-9)
    # of least stress: no small change of the coordinates helps
    random = np.random.default_rng(0)
    for _ in range(20):
        other = found.coordinates + 1e-3 * random.standard_normal(20)
        assert stress_of(inside, other) >= found.stress


def test_points_of_a_line_are_put_back_on_it() -> None:
    line = np.random.default_rng(5).random(30).cumsum()
    shuffled = np.random.default_rng(6).permutation(30)
    points = line[shuffled]
    matrix = np.abs(points[:, None] - points[None])
    found = find_order(matrix, restarts=5, seed=0)
    assert found.stress == pytest.approx(0.0, abs=1e-8)
    assert found.hits == 5
    back = points[found.order]
    assert np.array_equal(back, np.sort(back)) or np.array_equal(back, np.sort(back)[::-1])


@pytest.mark.parametrize("seed", range(3))
def test_nothing_local_helps_any_more(seed: int) -> None:
    """Moving no element and reversing no run increases F."""
    n = 12
    matrix = distances(n, seed)
    for start in range(6):
        found = find_order(matrix, restarts=1, seed=start)
        here = merit(matrix, found.order)
        for i, j in itertools.combinations(range(n + 1), 2):
            turned = found.order.copy()
            turned[i:j] = turned[i:j][::-1]
            assert merit(matrix, turned) <= here * (1 + 1e-9)
        for i, j in itertools.permutations(range(n), 2):
            moved = np.insert(np.delete(found.order, i), j, found.order[i])
            assert merit(matrix, moved) <= here * (1 + 1e-9)


def test_workers_change_nothing() -> None:
    matrix = distances(15)
    restarts = 2 * BLOCK + 10
    one = find_order(matrix, restarts=restarts, seed=42)
    with ThreadPoolExecutor(3) as pool:
        many = find_order(matrix, restarts=restarts, seed=42, map=pool.map)
    assert one.order.tolist() == many.order.tolist()
    assert one.coordinates.tobytes() == many.coordinates.tobytes()
    assert (one.stress, one.hits) == (many.stress, many.hits)
    assert one.restarts == many.restarts == restarts
    other = find_order(matrix, restarts=restarts, seed=43)
    assert other.hits != one.hits


def test_no_worse_than_scikit_learn() -> None:
    matrix = distances(25, spread=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = MDS(
            1, metric="precomputed", n_init=50, max_iter=500, random_state=42,
            normalized_stress=False, init="random",
        ).fit(matrix)  # fmt: skip
    ours = find_order(matrix, restarts=50, seed=42).stress
    assert ours <= peer.stress_ * (1 + 1e-9)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.zeros((1, 1)), "two elements"),
        (np.zeros((3, 2)), "square"),
        (np.array([[0.0, 1.0], [2.0, 0.0]]), "symmetric"),
        (np.array([[0.0, np.inf], [np.inf, 0.0]]), "at least 0"),
        (np.array([[0.0, -1.0], [-1.0, 0.0]]), "at least 0"),
    ],
)
def test_bad_input_is_refused(matrix: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        find_order(matrix, restarts=1, seed=0)
