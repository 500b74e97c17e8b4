"""Official folds, and what is held back inside one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import KFold

from trainables.training.split import Split, split_fold

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
