"""What a model may learn from, within its fold."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from trainables.crystals.condition import WHOLE, Condition, usual_sizes
from trainables.models.recipe import Recipe
from trainables.representations.dataset import split_dataset
from trainables.testing.samples import made_up_dataset
from trainables.training.fit import fit
from trainables.training.specification import ArraySpec

DATA = made_up_dataset("cgcnn", 60)


@pytest.mark.parametrize("fold", [0, 3])
def test_a_smaller_training_part_lies_in_a_larger_one(fold: int) -> None:
    whole = split_dataset(DATA, fold, 0)
    before: set[int] = set()
    for size in (1, 5, 20, len(whole.train)):
        split = split_dataset(DATA, fold, 0, Condition(train_size=size))
        train = set(split.train.tolist())
        assert len(train) == len(split.train) == size and before < train
        assert np.array_equal(split.train, np.sort(split.train))
        assert np.array_equal(split.validation, whole.validation)
        assert np.array_equal(split.test, whole.test)
        before = train
    assert before == set(whole.train.tolist())


def test_fold_and_seed_draw_the_order() -> None:
    some = Condition(train_size=12)
    one, again, other = (split_dataset(DATA, 0, seed, some).train for seed in (0, 0, 1))
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    assert set(one.tolist()) != set(split_dataset(DATA, 0, 0).train[:12].tolist())


def test_all_is_0_and_more_than_all_is_refused_with_the_size() -> None:
    assert np.array_equal(split_dataset(DATA, 1, 0, WHOLE).train, split_dataset(DATA, 1, 0).train)
    with pytest.raises(ValueError, match="36 crystals may be trained on, and --train-size 37"):
        split_dataset(DATA, 1, 0, Condition(train_size=37))


def test_what_is_withheld_counts_as_no_training_crystal() -> None:
    held = np.arange(60) % 2 == 0
    data = dataclasses.replace(DATA, withheld=held)
    split = split_dataset(data, 0, 0, Condition(train_size=10))
    assert len(split.train) == 10 and not held[split.train].any()


def test_any_beginning_has_the_classes_in_the_proportion_of_the_whole() -> None:
    classes = (np.arange(60) % 6 == 0).astype(np.int8)
    data = dataclasses.replace(DATA, target=classes.astype(float), classes=classes)
    whole = classes[split_dataset(data, 0, 0).train].mean()
    for size in (2, 7, 12, 24, 30):
        own = classes[split_dataset(data, 0, 0, Condition(train_size=size)).train]
        assert own.sum() >= 1 and abs(own.sum() - whole * size) <= 1


def test_the_usual_sizes_are_those_of_a_fold() -> None:
    some = Condition(train_size=9)
    for condition in (WHOLE, some):
        split = split_dataset(DATA, 0, 0, condition)
        assert usual_sizes(60, condition) == (len(split.train), len(split.validation))
    assert usual_sizes(60, Condition(train_size=999)) == usual_sizes(60)


def test_an_array_learns_from_its_part_alone() -> None:
    """Other targets outside the part change nothing but the errors there."""
    recipe = Recipe(name="tuned", optimiser="adam", lr=1e-2, epochs=2, batch_size=4)
    spec = ArraySpec(
        backbone="cgcnn", dim=4, mixings={"0": "key"}, fold=0, seed=0, recipe=recipe,
        condition=Condition(train_size=10),
    )  # fmt: skip
    (outcome,) = fit(spec, DATA)
    split = split_dataset(DATA, 0, 0, spec.condition)
    assert outcome.sizes == {"n_train": 10, "n_val": 12, "n_test": 12}
    target = DATA.target.copy()
    left = np.setdiff1d(np.arange(60), [*split.train, *split.validation])
    target[left] += 100
    (other,) = fit(spec, dataclasses.replace(DATA, target=target))
    for name, array in outcome.arrays.items():
        assert np.array_equal(array, other.arrays[name]), name
    assert outcome.metrics["test_error"] != other.metrics["test_error"]
