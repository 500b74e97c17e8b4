"""Front, hull, hypervolume, and where more λ are wanted."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.scale import pareto
from analysis.scale.pareto import search_pairs
from tests.analysis.scale.test_gaps import relations

LAMBDAS = (1.0, 4.0, 16.0, 64.0)


def test_front_and_hull_by_hand() -> None:
    points = np.array([[0, 10], [1, 4], [2, 3.9], [3, 1], [4, 1], [6, 0], [5, 5], [1, 4]], float)
    assert pareto.on_front(points).tolist() == [True, True, True, True, False, True, False, True]
    corners = points[pareto.on_hull(points)]
    assert sorted(map(tuple, corners.tolist())) == [(0, 10), (1, 4), (3, 1), (6, 0)]


def test_hypervolume_by_hand() -> None:
    points = np.array([[0.0, 10.0], [5.0, 5.0], [10.0, 0.0]])
    assert pareto.hypervolume(points, pareto.box(points)) == pytest.approx(0.25)
    better = np.array([[0.0, 10.0], [2.0, 2.0], [10.0, 0.0]])
    assert pareto.hypervolume(better, pareto.box(points)) == pytest.approx(0.64)
    with_bad = np.vstack([better, [[9.0, 9.0]]])
    assert pareto.hypervolume(with_bad, pareto.box(points)) == pytest.approx(0.64)
    assert pareto.hypervolume(points[:1], pareto.box(points[:1])) == 0.0


def test_every_lambda_is_on_the_front() -> None:
    """A larger λ spreads the elements: more pull, less crowding."""
    found = pareto.scan(relations(), LAMBDAS, 0.1)
    values = pareto.losses(found)
    assert (np.diff(values[:, 0]) > 0).all() and (np.diff(values[:, 1]) < 0).all()
    assert pareto.on_front(values).all()


def test_refinement_goes_where_the_front_bends() -> None:
    pull = relations()
    grid = pareto.scan(pull, LAMBDAS, 0.1)
    corners = pareto.box(pareto.losses(grid))
    before = pareto.hypervolume(pareto.losses(grid), corners)
    new = pareto.refine(pull, grid, most=10, tolerance=1e-4)
    assert 0 < len(new) <= 10
    assert len({one.lam for one in [*grid, *new]}) == len(grid) + len(new)
    assert all(1 < one.lam < 64 for one in new)
    after = pareto.hypervolume(pareto.losses([*grid, *new]), corners)
    assert after > before + 0.02
    # nothing to gain, nothing added beyond the round that shows it
    assert len(pareto.refine(pull, grid, most=100, tolerance=1.0)) <= pareto.A_ROUND
    assert pareto.refine(pull, grid, most=0, tolerance=0.0) == []
    assert pareto.refine(pull, grid[:1], most=5, tolerance=0.0) == []


def test_the_least_even_scale_of_the_hull_is_taken() -> None:
    found = pareto.scan(relations(), LAMBDAS, 0.1)
    hull = pareto.on_hull(pareto.losses(found))
    variances = [one.variance for one in found]
    chosen = pareto.least_even(found)
    assert hull[chosen]
    assert variances[chosen] == max(np.array(variances)[hull])


def test_the_search_over_pairs_repeats_itself() -> None:
    def backwards(function, items):
        """A map that works in another order, as workers do."""
        return iter([function(item) for item in reversed(list(items))][::-1])

    pull = relations(6)
    one = search_pairs(pull, LAMBDAS, trials=11, seed=4)
    two = search_pairs(pull, LAMBDAS, trials=11, seed=4, map=backwards)
    assert [(a.lam, a.eta) for a in one] == [(a.lam, a.eta) for a in two]
    assert len(one) == 11
    assert all(1 <= a.lam <= 64 and 0.01 <= a.eta <= 1 for a in one)
    assert len({a.eta for a in one}) > 5
