"""Folds of groups: whole, even, the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trainables.crystals.folds import (
    LEARN,
    TEST,
    UNUSED,
    VALIDATE,
    FoldError,
    folds_of_groups,
    folds_of_hashes,
    folds_of_parts,
    folds_of_rows,
)


@given(st.lists(st.integers(0, 30), min_size=10, max_size=200))
def test_each_group_is_tested_whole_and_once(numbers: list[int]) -> None:
    names = [f"group {number}" for number in numbers]
    _, sizes = np.unique(names, return_counts=True)
    assume(len(sizes) >= 5 and sizes.max() <= len(names) / 2)
    folds = folds_of_groups(names)
    tests = [folds.test_rows(fold) for fold in range(5)]
    assert sorted(np.concatenate(tests)) == list(range(len(names)))
    found = [{names[row] for row in rows} for rows in tests]
    assert sum(map(len, found)) == len(sizes), "no group in two folds"
    assert all(found), "no fold without a test part"
    # Greedy: no fold is larger than the smallest by more than one group.
    assert max(map(len, tests)) - min(map(len, tests)) <= sizes.max()


def test_groups_of_one_size_make_even_folds() -> None:
    folds = folds_of_groups([f"g{row // 4}" for row in range(400)])
    assert [len(folds.test_rows(fold)) for fold in range(5)] == [80] * 5


def test_the_same_groups_are_divided_the_same_way_whatever_the_order_of_the_rows() -> None:
    names = np.array([f"g{row % 37}" for row in range(300)])
    folds = folds_of_groups(names)
    assert folds.digest() == folds_of_groups(names).digest()
    order = np.random.default_rng(1).permutation(300)
    moved = folds_of_groups(names[order])
    assert np.array_equal(moved.parts, folds.parts[:, order])
    assert moved.digest() != folds.digest()
    other = names.copy()
    other[0] = "g1"
    assert folds_of_groups(other).digest() != folds.digest()


def test_too_few_groups_and_too_large_ones_are_refused() -> None:
    with pytest.raises(FoldError, match="4 groups; 5 folds need at least 5"):
        folds_of_groups(["a", "b", "c", "d"] * 5)
    with pytest.raises(FoldError, match=r"group 'big' has 60 of 100 rows \(60 %\), far more than"):
        folds_of_groups(["big"] * 60 + [f"g{n}" for n in range(40)])


def test_a_group_that_is_larger_than_a_fold_has_one_to_itself() -> None:
    folds = folds_of_groups(["big"] * 40 + [f"g{n}" for n in range(60)])
    assert sorted(len(folds.test_rows(fold)) for fold in range(5)) == [15, 15, 15, 15, 40]


def test_rows_and_parts_as_they_are_given() -> None:
    assert folds_of_rows([0, 1, 4, 1]).parts.tolist() == [
        [TEST, LEARN, LEARN, LEARN], [LEARN, TEST, LEARN, TEST], [LEARN] * 4, [LEARN] * 4,
        [LEARN, LEARN, TEST, LEARN],
    ]  # fmt: skip
    given_parts = folds_of_parts([{0: TEST, 1: LEARN}, {0: VALIDATE}, {}])
    assert given_parts.parts[:2].tolist() == [[TEST, VALIDATE, UNUSED], [LEARN, UNUSED, UNUSED]]
    assert (given_parts.parts[2:] == UNUSED).all()


def test_a_hash_puts_a_group_into_the_same_fold_of_any_data_set() -> None:
    names = np.array([f"A{row % 60}B" for row in range(200)])
    folds = folds_of_hashes(names)
    tests = [set(names[folds.test_rows(fold)]) for fold in range(5)]
    assert sorted(name for own in tests for name in own) == sorted(set(names))
    other = np.array([f"A{row}B" for row in range(30, 90)])
    again = folds_of_hashes(other)
    for fold in range(5):
        found = set(other[again.test_rows(fold)])
        assert found & set(names) == tests[fold] & set(other)
    # sha256("A0B") mod 5, so that no later version divides them in another way
    assert np.flatnonzero([("A0B" in own) for own in tests]).tolist() == [1]


def test_hashes_that_leave_a_fold_without_rows_are_refused() -> None:
    with pytest.raises(FoldError, match="the hashes of 2 groups make folds of"):
        folds_of_hashes(["NaCl", "KCl"] * 20)
