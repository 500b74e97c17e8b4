"""S and chemical distances from counts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from analysis.elements import MAX_Z, NUMBERS
from analysis.scale.replaceability import (
    Replaceability,
    check_counts,
    chemical_distances,
    dissimilarities,
    from_counts,
)

H, HE, LI, NA, K = (NUMBERS[symbol] for symbol in ("H", "He", "Li", "Na", "K"))


def counted(pairs: dict[tuple[int, int], float]) -> np.ndarray:
    counts = np.zeros((MAX_Z + 1, MAX_Z + 1))
    for (a, b), times in pairs.items():
        counts[a, b] = counts[b, a] = times
    return counts


def occurring(crystals: dict[int, float]) -> np.ndarray:
    found = np.zeros(MAX_Z + 1)
    for z, number in crystals.items():
        found[z] = number
    return found


def test_s_is_replacements_per_crystal() -> None:
    counts = counted({(LI, NA): 6, (NA, K): 2})
    found = from_counts(counts, occurring({LI: 12, NA: 8, K: 4, HE: 3}))
    assert found.numbers.tolist() == [HE, LI, NA, K]
    wanted = [[0, 0, 0, 0], [0, 0, 0.5, 0], [0, 0.75, 0, 0.25], [0, 0, 0.5, 0]]
    np.testing.assert_array_equal(found.values, wanted)
    assert found.isolated == [HE]
    assert found.estimated == ()
    np.testing.assert_array_equal(found.symmetric, np.maximum(wanted, np.transpose(wanted)))


def test_missing_occurrences_are_estimated() -> None:
    """Crystals per replacement: Li 2, Na 1, so 1.5 for K."""
    counts = counted({(LI, NA): 6, (NA, K): 2})
    found = from_counts(counts, occurring({LI: 12, NA: 8}))
    assert found.estimated == (K,)
    assert found.occurrences.tolist() == [12, 8, 3]
    assert found.values[2, 1] == pytest.approx(2 / 3)


def test_without_occurrences_rows_are_shares() -> None:
    found = from_counts(counted({(LI, NA): 6, (NA, K): 2}), None)
    np.testing.assert_allclose(found.values.sum(axis=1), 1.0)


def test_another_order_and_unknown_elements() -> None:
    found = from_counts(counted({(LI, NA): 6}), occurring({LI: 12, NA: 8, H: 2}))
    other = found.of(np.array([K, NA, LI]))
    assert other.values.tolist() == [[0, 0, 0], [0, 0, 0.75], [0, 0.5, 0]]
    assert other.isolated == [K]
    assert other.occurrences.tolist() == [0, 8, 12]


def random_relations(n: int, seed: int) -> Replaceability:
    random = np.random.default_rng(seed)
    values = random.random((n, n)) * 1.4 * (random.random((n, n)) < 0.4)
    np.fill_diagonal(values, 0.0)
    return Replaceability(numbers=np.arange(1, n + 1), values=values, occurrences=np.ones(n))


@pytest.mark.parametrize("seed", range(5))
def test_distances_are_the_best_products_along_any_path(seed: int) -> None:
    """All paths over distinct elements, one by one."""
    n = 6
    relations = random_relations(n, seed)
    found = chemical_distances(relations)
    direct = np.full((n, n), np.inf)
    seen = relations.values > 0
    direct[seen] = 1 / np.minimum(relations.values[seen], 1)
    for a, b in itertools.combinations(range(n), 2):
        others = [c for c in range(n) if c not in (a, b)]
        products = [
            np.prod([direct[i, j] for i, j in itertools.pairwise((start, *path, end))])
            for start, end in ((a, b), (b, a))
            for length in range(len(others) + 1)
            for path in itertools.permutations(others, length)
        ]
        if np.isfinite(min(products)):
            assert found[a, b] == pytest.approx(min(products), rel=1e-12)
    assert (found == found.T).all() and (np.diag(found) == 0).all()


def test_the_isolated_are_as_far_as_the_farthest() -> None:
    found = from_counts(counted({(LI, NA): 6, (NA, K): 2}), occurring({LI: 12, NA: 8, K: 4, HE: 3}))
    distances = chemical_distances(found)
    assert distances[1, 3] == pytest.approx(8 / 3)  # Li by way of Na, K to Li: 1/0.5 · 1/0.75
    np.testing.assert_allclose(distances[0, 1:], distances[1:, 1:].max())


def test_what_mds_keeps() -> None:
    found = from_counts(counted({(LI, NA): 6, (NA, K): 2}), occurring({LI: 12, NA: 8, K: 4, HE: 3}))
    share, product = dissimilarities(found, "share"), dissimilarities(found, "product")
    assert share[1, 2] == 0.0 and share[2, 3] == pytest.approx(1 / 3) and share[0, 1] == 1.0
    np.testing.assert_array_equal(product, chemical_distances(found))
    np.testing.assert_allclose(np.exp(dissimilarities(found, "logarithm")), product + np.eye(4))
    for kept in (share, product):
        assert (kept == kept.T).all() and (np.diag(kept) == 0).all()


def test_nothing_known_is_refused() -> None:
    with pytest.raises(ValueError, match="no replacement"):
        from_counts(counted({}), None)
    with pytest.raises(ValueError, match="no element has both"):
        from_counts(counted({(LI, NA): 1}), occurring({K: 3}))
    lonely = Replaceability(
        numbers=np.array([1, 2]), values=np.zeros((2, 2)), occurrences=np.ones(2)
    )
    with pytest.raises(ValueError, match="no element is ever replaced"):
        chemical_distances(lonely)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_a_bad_count_is_named(value: float) -> None:
    counts = counted({(LI, NA): 6})
    counts[NA, K] = value
    with pytest.raises(ValueError, match="Na replaced by K"):
        check_counts(counts)
