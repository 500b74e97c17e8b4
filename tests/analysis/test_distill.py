"""MDS to a table: what it keeps, what it fills, what it refuses."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from analysis.cosine import cosine_distances
from analysis.distill import distill, fill_missing, standardised


def make_distances(n: int, dim: int, seed: int = 0) -> np.ndarray:
    return squareform(pdist(np.random.default_rng(seed).normal(size=(n, dim))))


def test_points_in_a_plane_are_found_again() -> None:
    distances = make_distances(12, 2)
    found, plain = distill(distances, np.arange(1, 13), dim=2, n_init=8)
    assert found.stress_1 == plain.stress_1 < 0.01
    assert found.vectors.shape == (12, 2)
    assert squareform(pdist(plain.vectors)) == pytest.approx(distances, abs=0.05)


def test_stress_1_is_kruskals() -> None:
    """√(Σ (d − δ)² / Σ d²) over the pairs, d of the points."""
    given = make_distances(12, 6)
    _, plain = distill(given, np.arange(1, 13), dim=2)
    pairs = np.triu_indices(12, 1)
    own = pdist(plain.vectors)
    stress = np.sqrt(((own - given[pairs]) ** 2).sum() / (own**2).sum())
    assert plain.stress_1 == pytest.approx(stress, rel=1e-3) and stress > 0.05


def test_a_plain_table_keeps_the_distances_and_a_standardised_one_does_not() -> None:
    """Points that are long in one direction, which standardising shortens."""
    long = np.random.default_rng(0).normal(size=(20, 3)) * [10, 1, 1]
    found, plain = distill(squareform(pdist(long)), np.arange(1, 21), dim=3)
    assert found.standardised and not plain.standardised
    assert plain.vectors.mean(axis=0) == pytest.approx(0, abs=1e-9)
    assert plain.euclidean > 0.999 and found.euclidean < 0.95


def test_columns_are_standardised_and_figures_are_of_the_table() -> None:
    n = 20
    distances = cosine_distances(np.random.default_rng(1).normal(size=(n, 6)))
    found, plain = distill(distances, np.arange(1, n + 1), dim=8)
    np.testing.assert_allclose(found.vectors.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(found.vectors.std(axis=0), 1, atol=1e-12)
    pairs = np.triu_indices(n, k=1)
    cosine = cosine_distances(found.vectors)[pairs]
    assert found.pearson == pytest.approx(np.corrcoef(distances[pairs], cosine)[0, 1])
    assert found.pearson > 0.8
    assert (found.cosine_low, found.cosine_high) == (cosine.min(), cosine.max())
    assert found.filled_pairs == plain.filled_pairs == 0
    np.testing.assert_allclose(standardised(plain.vectors), found.vectors, atol=1e-9)


def test_repeats_bit_for_bit_and_warns_of_nothing() -> None:
    distances = cosine_distances(np.random.default_rng(2).normal(size=(30, 8)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, _ = distill(distances, np.arange(1, 31), dim=16)
    second, _ = distill(distances, np.arange(1, 31), dim=16)
    assert np.array_equal(first.vectors, second.vectors)
    other, _ = distill(distances, np.arange(1, 31), dim=16, seed=1)
    assert not np.array_equal(first.vectors, other.vectors)


def test_more_dimensions_than_elements_are_possible() -> None:
    found, _ = distill(make_distances(5, 3), [1, 2, 3, 4, 5], dim=64)
    assert found.vectors.shape == (5, 64)
    assert np.isfinite(found.vectors).all()


def test_constant_column_becomes_zero() -> None:
    vectors = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])
    found = standardised(vectors)
    assert not found[:, 1].any()
    np.testing.assert_allclose(found[:, 0], [-np.sqrt(1.5), 0, np.sqrt(1.5)])
    assert not standardised(np.ones((3, 2))).any()


def test_unknown_pair_gets_the_shortest_path_through_known_ones() -> None:
    nan = np.nan
    distances = np.array(
        [[0, 1, 2, nan], [1, 0, 4, 1.5], [2, 4, 0, 1], [nan, 1.5, 1, 0]], dtype=float
    )
    filled = fill_missing(distances)
    assert filled[0, 3] == filled[3, 0] == 2.5  # over the second: 1 + 1.5; over the third: 2 + 1
    known = ~np.isnan(distances)
    assert np.array_equal(filled[known], distances[known])


def test_path_is_no_longer_than_the_largest_known_distance() -> None:
    nan = np.nan
    distances = np.array([[0, 3, nan], [3, 0, 2], [nan, 2, 0]], dtype=float)
    assert fill_missing(distances)[0, 2] == 3


def test_pair_that_no_path_joins_gets_the_median() -> None:
    distances = np.full((5, 5), np.nan)
    np.fill_diagonal(distances, 0)
    for i, j, d in [(0, 1, 1.0), (0, 2, 5.0), (1, 2, 3.0), (3, 4, 2.0)]:
        distances[i, j] = distances[j, i] = d
    filled = fill_missing(distances)
    assert filled[0, 3] == filled[2, 4] == np.median([1, 1, 5, 5, 3, 3, 2, 2])
    assert distill(distances, [1, 2, 3, 4, 5], dim=2)[0].filled_pairs == 6


def test_known_zero_distance_is_not_taken_for_unknown() -> None:
    nan = np.nan
    distances = np.array([[0, 0, nan], [0, 0, 2], [nan, 2, 0]], dtype=float)
    filled = fill_missing(distances)
    assert filled[0, 1] == 0
    assert filled[0, 2] == pytest.approx(2)


@pytest.mark.parametrize(
    ("distances", "reason"),
    [
        (np.zeros((2, 3)), "shape"),
        (np.array([[0, 1.0], [2.0, 0]]), "symmetric"),
        (np.array([[0, -1.0], [-1.0, 0]]), "negative"),
        (np.array([[0, np.nan], [np.nan, 0]]), "no pair"),
        (np.zeros((2, 2)), "all distances are zero"),
    ],
)
def test_matrix_that_holds_no_distances_is_refused(distances: np.ndarray, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        distill(distances, [1, 2], dim=2)


def test_single_element_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two"):
        distill(np.zeros((1, 1)), [1], dim=2)
