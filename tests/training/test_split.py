"""Official folds, and what is held back inside one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.model_selection import KFold

from trainables.crystals.condition import Condition
from trainables.crystals.folds import (
    LEARN,
    TEST,
    VALIDATE,
    folds_of_groups,
    folds_of_parts,
    folds_of_rows,
)
from trainables.crystals.split import InnerFold, Split, inner_split, split_fold, split_given
from trainables.representations.dataset import split_dataset
from trainables.testing.samples import made_up_dataset

TOTAL = 103
ROWS = np.arange(TOTAL)


def parts(split: Split) -> list[set[int]]:
    return [set(part.tolist()) for part in (split.train, split.validation, split.test)]


@pytest.mark.parametrize("fold", range(5))
def test_parts_are_disjoint_and_cover_everything(fold: int) -> None:
    train, validation, test = parts(split_fold(ROWS, TOTAL, fold, seed=0))
    assert not train & validation and not train & test and not validation & test
    assert train | validation | test == set(range(TOTAL))
    assert len(validation) == round((TOTAL - len(test)) / 4)


@pytest.mark.parametrize("fold", range(5))
def test_the_test_part_is_the_official_fold(fold: int) -> None:
    official = KFold(5, shuffle=True, random_state=18012019).split(ROWS)
    wanted = [test for _, test in official][fold]
    assert np.array_equal(split_fold(ROWS, TOTAL, fold, seed=9).test, wanted)


def test_the_tests_of_all_folds_are_everything_once() -> None:
    tests = np.concatenate([split_fold(ROWS, TOTAL, fold, seed=0).test for fold in range(5)])
    assert sorted(tests.tolist()) == ROWS.tolist()


def test_quarantined_crystals_leave_the_others_in_their_fold() -> None:
    kept = np.delete(ROWS, [0, 17, 18, 55, 102])
    for fold in range(5):
        full = split_fold(ROWS, TOTAL, fold, seed=0)
        fewer = split_fold(kept, TOTAL, fold, seed=0)
        assert set(kept[fewer.test].tolist()) == set(full.test.tolist()) & set(kept.tolist())
        train, validation, test = parts(fewer)
        assert train | validation | test == set(range(len(kept)))


def test_the_seed_draws_the_validation_part_alone() -> None:
    one, other = (split_fold(ROWS, TOTAL, 2, seed) for seed in (0, 1))
    assert np.array_equal(one.test, other.test)
    assert parts(one)[1] != parts(other)[1]
    assert parts(one)[0] | parts(one)[1] == parts(other)[0] | parts(other)[1]


def test_the_same_seed_draws_the_same() -> None:
    one, other = (split_fold(ROWS, TOTAL, 3, seed=4) for _ in range(2))
    assert np.array_equal(one.train, other.train)
    assert np.array_equal(one.validation, other.validation)


# ------------------------------------------------------------------------- folds that are given


@pytest.mark.parametrize("share", [0.25, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_no_group_lies_in_two_parts_of_a_fold(seed: int, share: float) -> None:
    names = np.random.default_rng(seed).integers(0, 25, 300).astype(str)
    folds = folds_of_groups(names)
    for fold in range(5):
        split = split_given(folds, fold, seed, share)
        train, validation, test = parts(split)
        assert train | validation | test == set(range(300)) and train and validation and test
        assert len(train) + len(validation) + len(test) == 300
        groups = [set(names[list(part)]) for part in (train, validation, test)]
        assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
        assert abs(len(validation) / (len(train) + len(validation)) - share) < 0.05
        again = split_given(folds, fold, seed, share)
        assert np.array_equal(split.validation, again.validation)


def test_a_validation_part_of_groups_is_never_empty_and_never_all() -> None:
    names = [name for name in "abcde" for _ in range(8)]
    for fold in range(5):
        for share in (0.01, 0.25, 0.99):
            split = split_given(folds_of_groups(names), fold, 0, share)
            assert len(split.validation) % 8 == 0 and len(split.train) % 8 == 0
            assert len(split.validation) and len(split.train)


def test_parts_that_are_given_are_taken_and_the_others_drawn() -> None:
    given = folds_of_parts([{0: LEARN}] * 6 + [{0: VALIDATE}, {0: TEST}, {1: TEST}, {0: LEARN}])
    split = split_given(given, 0, seed=5)
    assert parts(split) == [{0, 1, 2, 3, 4, 5, 9}, {6}, {7}]
    tested = folds_of_rows(np.arange(100) % 5)
    for fold in range(5):
        split = split_given(tested, fold, seed=1)
        assert split.test.tolist() == list(range(fold, 100, 5)) and len(split.validation) == 20


def test_a_data_set_is_divided_as_it_says() -> None:
    data = made_up_dataset("cgcnn", 40)
    official = split_dataset(data, 2, 0)
    assert np.array_equal(official.test, split_fold(data.rows, 40, 2, 0).test)
    withheld = np.arange(40) % 2 == 0
    folds = folds_of_rows(np.arange(40) % 5)
    split = split_dataset(dataclasses.replace(data, folds=folds, withheld=withheld), 2, 0)
    assert split.test.tolist() == list(range(2, 40, 5)), "the test part is not touched"
    assert all(row % 2 for row in [*split.train, *split.validation])


# -------------------------------------------------------------------------------- inner folds


@pytest.mark.parametrize("of", [2, 8])
def test_inner_folds_hold_back_each_crystal_once(of: int) -> None:
    whole = split_fold(ROWS, TOTAL, 1, seed=0)
    inner = [inner_split(whole, InnerFold(number, of), [0, 1]) for number in range(of)]
    for one in inner:
        assert np.array_equal(one.test, whole.test) and np.array_equal(one.learned, whole.learned)
        assert not set(one.train) & set(one.validation)
    held = [one.validation for one in inner]
    assert np.array_equal(np.sort(np.concatenate(held)), whole.learned)
    assert np.ptp([len(rows) for rows in held]) <= 1
    again = inner_split(whole, InnerFold(0, of), [1, 1])
    assert not np.array_equal(again.validation, held[0])


def test_inner_folds_have_each_class_in_each_part() -> None:
    classes = (np.arange(TOTAL) % 9 == 0).astype(int)
    whole = split_fold(ROWS, TOTAL, 1, seed=0, classes=classes)
    rare = [
        classes[inner_split(whole, InnerFold(number, 4), [0, 1], classes).validation].sum()
        for number in range(4)
    ]
    assert min(rare) >= 2 and np.ptp(rare) <= 1


@pytest.mark.parametrize("classes", [None, (np.arange(TOTAL) // 5 % 4 == 0).astype(int)])
def test_inner_folds_keep_groups_together(classes: np.ndarray | None) -> None:
    groups = np.arange(TOTAL) // 5
    whole = split_given(folds_of_groups(groups), 2, 0, classes=classes)
    inner = [inner_split(whole, InnerFold(k, 4), [0, 2], classes, groups) for k in range(4)]
    for one in inner:
        assert not set(groups[one.train]) & set(groups[one.validation])
        assert classes is None or set(classes[one.validation]) == {0, 1}
    held = [one.validation for one in inner]
    assert np.array_equal(np.sort(np.concatenate(held)), whole.learned)
    assert np.ptp([len(rows) for rows in held]) <= (5 if classes is None else 10)


def test_inner_folds_leave_out_what_is_withheld() -> None:
    data = dataclasses.replace(made_up_dataset("cgcnn", 30), withheld=np.arange(30) % 3 == 0)
    inner = [split_dataset(data, 0, 0, inner=InnerFold(number, 3)) for number in range(3)]
    learned = np.concatenate([one.validation for one in inner])
    assert np.array_equal(np.sort(learned), split_dataset(data, 0, 0).learned)
    assert not data.withheld[learned].any()


def test_inner_folds_divide_what_a_condition_leaves() -> None:
    data, condition = made_up_dataset("cgcnn", 30), Condition(train_size=12)
    inner = [split_dataset(data, 0, 0, condition, InnerFold(number, 3)) for number in range(3)]
    assert {tuple(one.learned) for one in inner} == {tuple(inner[0].learned)}
    assert [len(one.train) for one in inner] == [8, 8, 8]
    assert np.array_equal(
        np.sort(np.concatenate([one.validation for one in inner])), inner[0].learned
    )
