"""What a model may learn from, within its fold."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from trainables.crystals.condition import WHOLE, Condition, usual_sizes
from trainables.crystals.symbols import NUMBERS, SYMBOLS
from trainables.models.recipe import Recipe
from trainables.representations.columns import Columns
from trainables.representations.dataset import element_matrix, split_dataset
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


# ----------------------------------------------------------------------- elements held out, shots


def having(symbol: str) -> np.ndarray:
    graphs = DATA.graphs
    assert isinstance(graphs, Columns)
    return np.bincount(graphs.node_crystal, graphs.z == NUMBERS[symbol], len(DATA)) > 0


COMMON = max(SYMBOLS[1:], key=lambda name: int(having(name).sum()))
RARER = next(name for name in SYMBOLS[1:] if 4 <= having(name).sum() < having(COMMON).sum())


@pytest.mark.parametrize("names", [COMMON, f"{RARER}+{COMMON}"])
def test_held_out_elements_are_in_the_test_part_alone(names: str) -> None:
    own = np.logical_or.reduce([having(name) for name in names.split("+")])
    tested = []
    for fold in range(5):
        whole = split_dataset(DATA, fold, 0)
        split = split_dataset(DATA, fold, 0, Condition(leave_out=names))
        assert split.train.tolist() == [row for row in whole.train if not own[row]]
        assert split.validation.tolist() == [row for row in whole.validation if not own[row]]
        assert split.test.tolist() == [row for row in whole.test if own[row]]
        tested += split.test.tolist()
    assert sorted(tested) == np.flatnonzero(own).tolist(), "each crystal once"


def test_shots_are_nested_and_change_nothing_else() -> None:
    own = having(COMMON)
    none = split_dataset(DATA, 1, 0, Condition(leave_out=COMMON))
    before: set[int] = set()
    for shots in (1, 3, 6):
        split = split_dataset(DATA, 1, 0, Condition(leave_out=COMMON, shots=shots))
        kept = set(split.train[own[split.train]].tolist())
        assert len(kept) == shots and before < kept
        assert split.train[~own[split.train]].tolist() == none.train.tolist()
        assert kept <= set(split_dataset(DATA, 1, 0).train.tolist()), "never of another part"
        assert np.array_equal(split.validation, none.validation)
        assert np.array_equal(split.test, none.test)
        before = kept


def test_a_size_counts_crystals_without_the_element_from_the_same_order() -> None:
    own = having(COMMON)
    both = Condition(leave_out=COMMON, train_size=8, shots=2)
    split = split_dataset(DATA, 0, 0, both)
    assert len(split.train) == 10 and own[split.train].sum() == 2
    whole = len(split_dataset(DATA, 0, 0).train)
    for size in range(8, whole):
        plain = split_dataset(DATA, 0, 0, Condition(train_size=size)).train
        if (~own[plain]).sum() == 8:
            assert set(split.train[~own[split.train]]) == set(plain[~own[plain]])
            return
    pytest.fail("no size has as many crystals without the element")


def test_more_shots_than_there_are_crystals_are_refused_with_the_number() -> None:
    number = int(having(COMMON)[split_dataset(DATA, 0, 0).train].sum())
    some = Condition(leave_out=COMMON, shots=number + 1)
    with pytest.raises(ValueError, match=rf"^{number} training crystals have {COMMON}, and"):
        split_dataset(DATA, 0, 0, some)


@pytest.mark.parametrize("wrong", [{"shots": 1}, {"leave_out": "Xx"}, {"leave_out": "O+"}])
def test_a_condition_that_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"shots without an element|is no element"):
        Condition(**wrong)  # type: ignore[arg-type]


def test_graphs_in_a_store_need_the_element_matrix_their_crystals() -> None:
    graphs = DATA.graphs
    stored = dataclasses.replace(DATA, graphs=object())
    with pytest.raises(TypeError, match="have to be given"):
        stored.having([1])
    assert isinstance(graphs, Columns)
    elements = element_matrix(graphs.z, graphs.node_crystal, len(DATA))
    known = dataclasses.replace(stored, elements=elements)
    assert np.array_equal(known.having([NUMBERS[COMMON]]), having(COMMON))


def test_a_model_never_learns_the_vector_of_an_element_held_out() -> None:
    recipe = Recipe(name="tuned", optimiser="adam", lr=1e-2, epochs=2, batch_size=8)
    spec = ArraySpec(
        backbone="cgcnn", dim=4, mixings={"L": "key"}, fold=0, seed=0, recipe=recipe,
        condition=Condition(leave_out=COMMON),
    )  # fmt: skip
    (outcome,) = fit(spec, DATA)
    assert NUMBERS[COMMON] not in outcome.arrays["elements/numbers"]
    assert outcome.sizes["n_test"] == having(COMMON)[split_dataset(DATA, 0, 0).test].sum()
    shot = dataclasses.replace(spec, condition=Condition(leave_out=COMMON, shots=3))
    (outcome,) = fit(shot, DATA)
    counts = dict(
        zip(outcome.arrays["elements/numbers"], outcome.arrays["elements/counts"], strict=True)
    )
    assert counts[NUMBERS[COMMON]] == 3
