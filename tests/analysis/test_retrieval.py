"""Retrieval: the fast way beside brute force, ties, look-ups by composition, heads, intervals."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from scipy.stats import sem, t

from analysis.embedding_heads import HEADS, KERNEL, RIDGE, STRENGTHS, combined, head
from analysis.grouped import grouped, mean_interval
from analysis.retrieval import (
    chance,
    composition_distances,
    correlations,
    curve_ends,
    depths,
    hits,
    nearest,
    profile_distances,
    ranks,
    similarity,
    through_neighbours,
)


def hit_by_all_orders(scores: np.ndarray, right: np.ndarray, top: int) -> float:
    """Of one query, over all orders of the gallery; equal scores keep the order they are in."""
    found = []
    for order in permutations(range(len(scores))):
        best = sorted(order, key=lambda place: -scores[place])[:top]
        found.append(bool(right[best].any()))
    return float(np.mean(found))


def test_hits_are_those_of_all_orders_of_ties() -> None:
    draw = np.random.default_rng(0)
    scores = draw.integers(0, 3, (12, 5)).astype(float)
    right = draw.random((12, 5)) < 0.4
    right[:, 2] = True
    for top in (1, 2, 3, 5, 9):
        slow = [hit_by_all_orders(*pair, top) for pair in zip(scores, right, strict=True)]
        np.testing.assert_allclose(hits(scores, right, top), slow, atol=1e-12)


def test_constant_scores_are_chance() -> None:
    scores, right = np.zeros((7, 7)), np.eye(7, dtype=bool)
    for top in (1, 5, 7, 10):
        np.testing.assert_allclose(hits(scores, right, top), chance(7, top))
    assert ranks(scores).tolist() == [4.0] * 7


def test_ranks_count_what_is_above_and_share_ties() -> None:
    scores = np.array([[3.0, 1.0, 2.0], [5.0, 5.0, 1.0], [2.0, 2.0, 1.0]])
    assert ranks(scores).tolist() == [1, 1.5, 3]
    assert ranks(scores.T).tolist() == [2, 1, 2.5]


def test_an_ensemble_is_the_mean_of_its_similarities() -> None:
    one, other = np.eye(3), np.eye(3)[[1, 0, 2]]
    found = similarity([(one, one), (one, other)])
    assert found.tolist() == [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]


def test_profiles_are_compared_in_both_directions() -> None:
    draw = np.random.default_rng(1)
    queries, others = draw.normal(size=(4, 6)), draw.normal(size=(3, 6))
    found = profile_distances(queries, others)
    for query, other in product(range(4), range(3)):
        both = (others[other], others[other][::-1])
        slow = min(float(np.sqrt(np.mean((queries[query] - one) ** 2))) for one in both)
        assert found[query, other] == pytest.approx(slow)
    assert profile_distances(queries, queries[:, ::-1]).diagonal().tolist() == [0] * 4


def test_curves_are_correlated_in_both_directions() -> None:
    draw = np.random.default_rng(2)
    queries, others = draw.normal(size=(4, 6)), draw.normal(size=(3, 6))
    found = correlations(queries, others)
    for query, other in product(range(4), range(3)):
        both = (others[other], others[other][::-1])
        slow = max(float(np.corrcoef(queries[query], one)[0, 1]) for one in both)
        assert found[query, other] == pytest.approx(slow, abs=1e-9)
    assert correlations(queries, 3 - 2 * queries[:, ::-1]).diagonal().max() < 1
    np.testing.assert_allclose(correlations(queries, 3 + 2 * queries[:, ::-1]).diagonal(), 1)
    assert not correlations(np.ones((1, 6)), others).any()


def test_wells_are_as_deep_as_they_lie_below_the_lower_vacuum() -> None:
    profiles = np.array([[5.0, 1.0, -2.0, 4.5], [3.0, 3.0, 2.0, 3.0]])
    found = depths(profiles, np.array([[5.0, 4.0], [3.0, 3.0]]))
    assert found.tolist() == [[0, 3, 6, 0], [0, 0, 1, 0]]


def test_a_look_up_takes_the_nearest_and_shares_ties() -> None:
    learned = np.array([[1.0, 0], [1, 0], [0.5, 0.5]])
    between = composition_distances(np.array([[0.9, 0.1], [0.6, 0.4], [2 / 3, 1 / 3]]), learned)
    weights = nearest(between)
    assert weights.tolist() == [[0.5, 0.5, 0], [0, 0, 1], [0, 0, 1]]
    beyond = np.array([[0.0, 3], [2, 1], [1, 7]])
    assert through_neighbours(between, beyond).tolist() == [[-1, -2], [-1, -7], [-1, -7]]


def test_the_ends_of_a_curve() -> None:
    assert curve_ends(1) == [1] and curve_ends(4) == [1, 2, 3, 4]
    assert curve_ends(500)[:10] == list(range(1, 11)) and curve_ends(500)[-1] == 100


def test_signs_are_flipped_by_group() -> None:
    values, groups = np.array([1.0, 2, 0.5, 0.5, 3]), np.array(list("aabbc"))
    found = grouped(values, groups, draws=4000)
    # all eight signs of the totals 3, 1, 3: two of eight are as far from 0
    assert found.p == pytest.approx(2 / 8, abs=0.03)
    assert found.mean == pytest.approx(1.4) and found.pairs == 3
    assert grouped(values, groups, draws=4000) == found


def test_intervals_are_those_of_student_and_hold_the_truth_as_often_as_they_say() -> None:
    draw = np.random.default_rng(5)
    alone = draw.normal(size=12)
    found = mean_interval(alone, np.arange(12))
    expected = t.interval(0.95, 11, alone.mean(), sem(alone))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    missed = 0
    for _ in range(400):  # of groups of one to six rows that have much in common
        groups = np.repeat(np.arange(10), draw.integers(1, 7, 10))
        low, high = mean_interval(
            draw.normal(size=10)[groups] + draw.normal(size=len(groups)), groups
        )
        missed += not low <= 0 <= high
    assert 0.02 < missed / 400 < 0.09  # a bootstrap over groups misses it in 13 %


def test_groups_make_a_difference_and_one_says_nothing() -> None:
    draw = np.random.default_rng(2)
    of = np.repeat(draw.normal(0.3, 1, 12), 20)
    alone, together = grouped(of, np.arange(240)), grouped(of, np.repeat(np.arange(12), 20))
    assert alone.p < 0.01 < together.p
    assert together.high - together.low > 3 * (alone.high - alone.low)
    assert np.isnan(grouped(of, np.zeros(240)).p) and mean_interval(of, np.zeros(240)) is None
    same = grouped(np.zeros(9), np.arange(9))
    assert (same.p, same.low, same.high) == (1, 0, 0)
    for share in (0.0, 1.0, 0.1):
        assert mean_interval(np.full(12, share), np.repeat(np.arange(4), 3)) is None
    with pytest.raises(ValueError, match="no rows"):
        grouped(np.zeros(0), np.zeros(0))


@pytest.mark.parametrize("kind", HEADS)
def test_heads_learn_and_choose_on_validation(kind: str) -> None:
    draw = np.random.default_rng(3)
    features = draw.normal(size=(200, 6))
    features[:, 5] = 7.0 + 1e-12 * draw.normal(size=200)
    target = 4 + features[:, 0] - 2 * features[:, 1] + 0.01 * draw.normal(size=200)
    train, validation, test = np.split(np.arange(200), [120, 160])
    found = head(kind, features, target, train, validation)
    assert found.error == pytest.approx(np.abs(found.values - target)[validation].mean())
    assert np.abs(found.values - target)[test].mean() < (0.02 if kind == RIDGE else 0.3)
    np.testing.assert_allclose(found.predict(features[test]), found.values[test], atol=1e-9)
    other = target.copy()
    other[test] = 0  # the test part takes part in nothing
    np.testing.assert_array_equal(
        head(kind, features, other, train, validation).values, found.values
    )


def test_ridge_is_that_of_the_normal_equations() -> None:
    draw = np.random.default_rng(4)
    learned, target, seen = draw.normal(size=(9, 4)), draw.normal(size=9), draw.normal(size=(3, 4))
    every = HEADS[RIDGE](learned, target, seen)
    for strength, (found, rule) in zip(STRENGTHS, every, strict=True):
        solved = np.linalg.solve(learned.T @ learned + strength * np.eye(4), learned.T @ target)
        np.testing.assert_allclose(found, seen @ solved, atol=1e-9)
        np.testing.assert_allclose(rule(2 * seen), 2 * found, atol=1e-9)


def test_a_kernel_head_bends() -> None:
    x = np.linspace(-2, 2, 90)
    rows = np.arange(90)
    train, validation = rows[rows % 3 == 0], rows[rows % 3 == 1]
    target = np.cos(2 * x)
    errors = {kind: head(kind, x[:, None], target, train, validation).error for kind in HEADS}
    assert errors[KERNEL] < 0.05 < errors[RIDGE]


def test_an_ensemble_of_one_has_an_interval_too() -> None:
    target = np.linspace(0, 1, 40)
    members = target + np.array([[0.1], [0.3]])
    rows = np.arange(20)
    both, alone = combined(members, target, rows), combined(members[:1], target, rows)
    assert both.deviation == pytest.approx(np.full(40, 0.2 / np.sqrt(2)))
    assert both.half_width(0.9) == pytest.approx(np.full(40, 0.2))
    assert not alone.deviation.any() and alone.half_width(0.9) == pytest.approx(np.full(40, 0.1))
