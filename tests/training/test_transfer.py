"""Arrays of CrabNets give each table and fold what it would get alone."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import torch

from tests.compositions_for_tests import made_up_compositions, made_up_table
from trainables.compositions.dataset import Compositions
from trainables.models.options import CrabNetOptions
from trainables.models.recipe import CyclicRecipe, Recipe
from trainables.training.compositions import CompositionProblem, DeviceCompositions
from trainables.training.outcome import Outcome
from trainables.training.transfer import (
    HELD,
    RECIPES,
    Entrant,
    TransferData,
    TransferFit,
    TransferSpec,
    recipe_for,
)

# Stacked products round differently from single ones; in float64 this is what eight epochs leave.
TOLERANCE = 1e-8
SHAPE = CrabNetOptions(width=8, layers=1, heads=2, hidden=12, head_widths=(10, 6))
TUNED = Recipe(
    name="tuned", optimiser="adamw", lr=3e-3, weight_decay=0.01, schedule="cosine", epochs=8,
    patience=50, batch_size=8,
)  # fmt: skip
CYCLIC = CyclicRecipe(
    name="paper", optimiser="lamb", lr=0.02, lowest=0.1, half=2, epochs=11, patience=50,
    batch_size=8,
)  # fmt: skip
TABLES = {"narrow": made_up_table(3, 1), "wide": made_up_table(9, 2)}
ENTRANTS = [Entrant(table=table, fold=fold, seed=0) for fold in (0, 3) for table in TABLES]


def spec_of(entrants: list[Entrant], recipe: Recipe, **changes: Any) -> TransferSpec:
    models = {entrant: entrant.label for entrant in entrants}
    return TransferSpec(models=models, seed=0, recipe=recipe, options=SHAPE, **changes)


def fitted(
    data: Compositions, entrants: list[Entrant], recipe: Recipe, **changes: Any
) -> dict[str, Outcome]:
    tables = TransferData(data, {entrant: TABLES[entrant.table] for entrant in entrants})
    fit = TransferFit(spec_of(entrants, recipe, **changes), tables, dtype=torch.float64)
    found: dict[str, Outcome] = {}
    while not fit.finished:
        for outcome in fit.advance():
            assert outcome.history.member.key not in found
            found[outcome.history.member.key] = outcome
    return found


def assert_alike(one: Outcome, other: Outcome) -> None:
    assert one.history.epochs == other.history.epochs
    assert one.history.best_epoch == other.history.best_epoch
    assert one.parameters >= other.parameters  # columns of zeros for another's wider table
    assert set(one.arrays) == set(other.arrays)
    for name, array in one.arrays.items():
        own = other.arrays[name]
        part = array[tuple(slice(0, size) for size in own.shape)]
        np.testing.assert_allclose(part, own, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)


@pytest.mark.parametrize("recipe", [TUNED, CYCLIC], ids=["tuned", "cyclic"])
@pytest.mark.parametrize("classes", [False, True], ids=["regression", "classes"])
def test_tables_and_folds_together_are_each_alone(recipe: Recipe, classes: bool) -> None:
    data = made_up_compositions(60, classes=classes)
    together = fitted(data, ENTRANTS, recipe, trainable=True)
    for entrant in ENTRANTS:
        alone = fitted(data, [entrant], recipe, trainable=True)
        assert_alike(together[entrant.label], alone[entrant.label])
    said = [one.arrays["predictions/test/value"] for one in together.values()]
    assert not np.allclose(said[0], said[1]), "another table says something else"


def test_members_that_stop_at_different_epochs() -> None:
    data = made_up_compositions(60)
    recipe = dataclasses.replace(TUNED, lr=0.02, epochs=40, patience=2, schedule="constant")
    together = fitted(data, ENTRANTS, recipe)
    assert len({one.history.epochs for one in together.values()}) >= 2
    for entrant in ENTRANTS:
        assert_alike(together[entrant.label], fitted(data, [entrant], recipe)[entrant.label])


def test_it_learns() -> None:
    data = made_up_compositions(200)
    # A table whose first column is what the target is made of.
    table = np.column_stack([np.arange(1, 119) / 60 - 1, *made_up_table(2).T])
    recipe = dataclasses.replace(TUNED, epochs=24, lr=1e-2)
    entrant = Entrant(table="z", fold=1, seed=0)
    fit = TransferFit(spec_of([entrant], recipe), TransferData(data, {entrant: table}))
    while not fit.finished:
        (*outcomes,) = fit.advance()
    (outcome,) = outcomes
    assert outcome.metrics["test_mae"] < 0.5 * outcome.metrics["dummy_mae"]
    assert outcome.metrics["val_error"] == pytest.approx(outcome.metrics["val_mae"], rel=1e-4)
    losses = outcome.history.train_loss
    assert losses[-1] < losses[0]


def test_the_test_part_decides_nothing() -> None:
    data = made_up_compositions(60)
    hidden = data.target.copy()
    hidden[data.test_rows(0)] += 1e6
    other = dataclasses.replace(data, target=hidden)
    one, two = (fitted(each, ENTRANTS[:1], TUNED) for each in (data, other))
    for name in ("predictions/test/value", "predictions/validation/value", "curve/val_mae"):
        a, b = (next(iter(found.values())).arrays[name] for found in (one, two))
        np.testing.assert_array_equal(a, b)


def test_twice_is_the_same_to_the_bit() -> None:
    data = made_up_compositions(50, classes=True)
    one, two = (fitted(data, ENTRANTS, TUNED) for _ in range(2))
    for key, outcome in one.items():
        for name, array in outcome.arrays.items():
            assert np.array_equal(array, two[key].arrays[name]), name


def test_parts_are_the_official_folds() -> None:
    data = made_up_compositions(50, classes=True)
    outcome = fitted(data, [Entrant(table="wide", fold=2, seed=0)], TUNED)["fold2/wide"]
    rows = outcome.arrays["predictions/test/row"]
    assert rows.tolist() == sorted(data.test_rows(2))
    assert abs(data.target[rows].mean() - data.target.mean()) < 0.06, "stratified"
    assert outcome.sizes == {"n_train": 36, "n_val": 4, "n_test": 10}
    values = outcome.arrays["predictions/test/value"]
    assert ((values > 0) & (values < 1)).all(), "probabilities"
    assert "test_mae" not in outcome.metrics


def test_each_class_validates() -> None:
    data = made_up_compositions(50, classes=True)
    rare = dataclasses.replace(data, target=(np.arange(50) < 6).astype(float))
    for fold, name in itertools.product(range(5), HELD):
        split = rare.split(fold, 0, HELD[name])
        for part in (split.train, split.validation):
            assert set(rare.target[part]) == {0, 1}
        assert not set(split.train) & set(split.validation)


def test_a_smaller_validation_part_lies_within_a_larger_one() -> None:
    data = made_up_compositions(50)
    small, large = (data.split(1, 0, HELD[name]) for name in ("tuned", "paper"))
    assert (len(small.validation), len(large.validation)) == (4, 10)
    assert set(small.validation) < set(large.validation)
    np.testing.assert_array_equal(small.test, large.test)
    assert set(small.train) | set(small.validation) == set(large.train) | set(large.validation)


def test_a_table_that_learns_is_kept() -> None:
    data = made_up_compositions(40)
    learnt = fitted(data, ENTRANTS[:1], TUNED, trainable=True)["fold0/narrow"].arrays["table"]
    moved = np.abs(learnt[:, :3] - TABLES["narrow"]).max(axis=1) > 1e-9
    trained = np.unique(data.z[np.isin(data.owner, data.split(0, 0, HELD["tuned"]).train)])
    assert moved[trained - 1].all(), "elements that were seen have moved"
    assert "table" not in fitted(data, ENTRANTS[:1], TUNED)["fold0/narrow"].arrays


LOSSES = {  # of standardised errors, where the predicted logarithmic scale is 0
    "l1": lambda error: np.abs(error),
    "mse": lambda error: error**2,
    "laplace": lambda error: 2**0.5 * np.abs(error),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_member_weighs_its_own_rows_alone(name: Any) -> None:
    """Loss and share of a member in an array of two folds, from their definitions."""
    data = made_up_compositions(40)
    splits = [data.split(fold, 0, HELD["tuned"]) for fold in (0, 1)]
    source = DeviceCompositions(data, torch.device("cpu"), torch.float64)
    problem = CompositionProblem(
        source, splits, dataclasses.replace(TUNED, loss=name), steps=3, order_seed=1
    )
    shares = torch.zeros(2, dtype=torch.float64)
    seen = []
    for batch in problem.batches():
        shares += problem.share(batch)
        rows = batch.rows.numpy()
        seen.extend(rows)
        said = torch.zeros(2, len(rows), 2, dtype=torch.float64)
        loss = problem.loss(lambda _, said=said: said, batch)
        for k, split in enumerate(splits):
            own = np.isin(rows, split.train)
            standard = (data.target[rows[own]] - problem.means[k]) / problem.scales[k]
            assert float(loss[k]) == pytest.approx(LOSSES[name](standard).mean())
    assert shares.tolist() == pytest.approx([1, 1])
    assert sorted(seen) == sorted(set(splits[0].train) | set(splits[1].train))


def test_a_loss_that_overflows_is_a_divergence() -> None:
    recipe = dataclasses.replace(TUNED, optimiser="sgd", lr=1e200, schedule="constant")
    outcome = fitted(made_up_compositions(40), ENTRANTS[:1], recipe)["fold0/narrow"]
    assert outcome.history.diverged and outcome.metrics == {}


@pytest.mark.parametrize(("rows", "size"), [(312, 128), (4604, 128), (100_000, 4096)])
def test_batches_are_of_the_published_size(rows: int, size: int) -> None:
    recipe = recipe_for("paper", rows, epochs=7)
    assert (recipe.batch_size, recipe.epochs) == (size, 7)
    assert isinstance(recipe, CyclicRecipe) and RECIPES["paper"].epochs == 500


@pytest.mark.parametrize(
    ("rows", "size", "loss"), [(312, 16, "laplace"), (600, 32, "laplace"), (4604, 64, "l1")]
)
def test_few_rows_are_learned_with_a_scale(rows: int, size: int, loss: str) -> None:
    recipe = recipe_for("tuned", rows)
    assert (recipe.batch_size, recipe.loss) == (size, loss)
    assert recipe_for("tuned", rows, loss="mse").loss == "mse"


def test_the_rate_goes_up_and_down() -> None:
    recipe = RECIPES["paper"]
    assert recipe.lr * recipe.rate(0) == pytest.approx(1e-4)
    assert recipe.lr * recipe.rate(10) == pytest.approx(6e-3)
    assert recipe.lr * recipe.rate(20) == pytest.approx(1e-4)
    assert recipe.rate(5) == pytest.approx(recipe.rate(15)) == pytest.approx(recipe.rate(25))
    assert [epoch for epoch in range(50) if recipe.validates(epoch)] == [19, 39]
    assert recipe.validates(499)
