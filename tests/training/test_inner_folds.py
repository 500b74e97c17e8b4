"""Members of an array that each hold back another part of a fold."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import cache

import numpy as np
import pytest

from trainables.crystals.split import InnerFold
from trainables.models.recipe import Recipe
from trainables.representations.dataset import Dataset, split_dataset
from trainables.targets.base import Target
from trainables.testing.samples import made_up_dataset
from trainables.training.fit import ArrayFit
from trainables.training.inner_folds import InnerFoldsProblem
from trainables.training.outcome import Outcome
from trainables.training.specification import ArraySpec, Variant

CRYSTALS, INNER = 40, 3
RECIPE = Recipe(
    name="tuned", optimiser="adamw", lr=1e-2, averaging=0.9, epochs=4, patience=2, batch_size=8
)
NUMBER = Target(name="energy", unit="eV")
KINDS = {
    "scalar": NUMBER,
    "binary": Target(name="metal", unit=None, kind="binary"),
    "spectrum": Target(name="dos", unit="eV", kind="spectrum", shape=(3,)),
    "properties": Target(name="a,b,c", unit=None, kind="properties", shape=(3,)),
    "site": Target(name="spin", unit="µB", kind="site"),
}


@cache
def data(backbone: str, kind: str = "scalar") -> Dataset:
    """Crystals with targets of a kind, some of them missing where that may be."""
    made = made_up_dataset(backbone, CRYSTALS)
    number = made.target
    if kind == "binary":
        classes = (number > np.median(number)).astype(np.int8)
        return dataclasses.replace(made, target=classes.astype(float), classes=classes)
    if kind in ("spectrum", "properties"):
        several = np.outer(number, [1.0, -2.0, 0.3]) + np.array([0, 5, 100])
        several[::3, 0] = np.nan
        return dataclasses.replace(made, target=several)
    if kind == "site":
        ptr = made.graphs.node_ptr.astype(np.int64)
        sites = np.repeat(number, np.diff(ptr)) + made.graphs.z / 30
        sites[::5] = np.nan
        return dataclasses.replace(made, target=sites, target_ptr=ptr)
    return made


def spec_of(
    backbone: str,
    labels: Iterable[str] | None = None,
    kind: str = "scalar",
    recipe: Recipe = RECIPE,
) -> ArraySpec:
    """An array of three inner folds of two mixings, or of those with the given labels."""
    every = [
        Variant(mixing=mixing, inner_fold=number).label
        for mixing in ("0", "residual")
        for number in range(INNER)
    ]
    return ArraySpec(
        backbone=backbone, dim=4, mixings={label: label for label in labels or every}, fold=1,
        seed=0, recipe=recipe, target=KINDS[kind], inner_folds=INNER,
    )  # fmt: skip


def ended(fit: ArrayFit) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    while not fit.finished:
        found |= {one.history.member.label: one for one in fit.advance()}
    return found


@cache
def fitted(backbone: str, kind: str = "scalar") -> dict[str, Outcome]:
    return ended(ArrayFit(spec_of(backbone, kind=kind), data(backbone, kind)))


def test_a_label_names_a_variant() -> None:
    for variant in (Variant(mixing="-2"), Variant(mixing="residual", inner_fold=11)):
        assert Variant.parse(variant.label) == variant


CASES = [("cgcnn", "scalar"), ("megnet", "scalar"), ("schnet", "scalar"), ("megnet", "binary"),
         ("cgcnn", "spectrum"), ("megnet", "properties"), ("schnet_atoms", "site")]  # fmt: skip


@pytest.mark.parametrize(("backbone", "kind"), CASES)
def test_an_array_trains_each_model_as_alone(backbone: str, kind: str) -> None:
    together = fitted(backbone, kind)
    assert len(together) == 2 * INNER
    for label in ("0 inner 2", "residual inner 1"):
        spec = spec_of(backbone, [label], kind)
        (alone,) = ended(ArrayFit(spec, data(backbone, kind))).values()
        assert alone.history.best_epoch == together[label].history.best_epoch
        for name, value in together[label].arrays.items():
            np.testing.assert_allclose(
                value, alone.arrays[name], rtol=1e-3, atol=1e-4, err_msg=f"{label}: {name}"
            )


@pytest.mark.parametrize(("backbone", "kind"), CASES)
def test_early_stopping_and_record_speak_of_the_same_rows(backbone: str, kind: str) -> None:
    """Each member is validated on the part that it holds back, in the unit of the target."""
    held = []
    for label, outcome in fitted(backbone, kind).items():
        inner = InnerFold(Variant.parse(label).inner_fold or 0, INNER)
        split = split_dataset(data(backbone, kind), 1, 0, inner=inner)
        assert np.array_equal(outcome.arrays["predictions/validation/row"], split.validation)
        assert outcome.metrics["val_error"] == pytest.approx(outcome.history.best_error, rel=1e-4)
        assert outcome.sizes == split.sizes
        held.append(split.validation)
    official = split_dataset(data(backbone, kind), 1, 0).learned
    assert np.array_equal(np.sort(np.concatenate(held)), np.repeat(official, 2))


@pytest.mark.parametrize("backbone", ["cgcnn", "megnet"])
def test_a_target_held_back_reaches_nothing(backbone: str) -> None:
    """One epoch, after which validation has nothing left to choose."""
    recipe = dataclasses.replace(RECIPE, epochs=1)
    spec = spec_of(backbone, ["0 inner 0", "0 inner 1"], recipe=recipe)
    held = split_dataset(data(backbone), 1, 0, inner=InnerFold(0, INNER)).validation
    other = data(backbone).target.copy()
    other[held] = 3 * other[held] + 7
    changed = ended(ArrayFit(spec, dataclasses.replace(data(backbone), target=other)))
    for label, outcome in ended(ArrayFit(spec, data(backbone))).items():
        test = "predictions/test/value"
        apart = np.abs(outcome.arrays[test] - changed[label].arrays[test]).max()
        assert (apart < 1e-3) == (label == "0 inner 0"), (label, apart)
        assert changed[label].metrics["val_error"] != outcome.metrics["val_error"]


@pytest.mark.parametrize("away", [1e4, 1e8])
def test_a_target_held_back_rounds_the_others_as_documented(away: float) -> None:
    """By 1e-7 away / n of a standard deviation, of n crystals outside the test part."""
    whole = data("cgcnn")
    inner = split_dataset(whole, 1, 0, inner=InnerFold(0, INNER))
    target = whole.target.copy()
    target[inner.validation[0]] = away * target[inner.train].std()
    fit = ArrayFit(spec_of("cgcnn", ["0 inner 0"]), dataclasses.replace(whole, target=target))
    problem = fit.training.problem
    assert isinstance(problem, InnerFoldsProblem)
    own = problem._own(fit.data.target)[0].numpy()[inner.train]
    known = target[inner.train]
    apart = np.abs(own - (known - known.mean()) / known.std()).max()
    documented = 1e-7 * away / len(inner.learned)
    assert documented / 10 < apart < 3 * documented


def test_mixings_of_an_inner_fold_start_from_the_same_draws() -> None:
    seeds = {label: one.history.member.seed for label, one in fitted("megnet").items()}
    assert len(set(seeds.values())) == INNER
    assert all(seeds[f"0 inner {k}"] == seeds[f"residual inner {k}"] for k in range(INNER))


@pytest.mark.parametrize("backbone", ["cgcnn", "schnet"])
def test_an_interrupted_training_ends_with_the_same_bits(backbone: str) -> None:
    whole = fitted(backbone)
    first = ArrayFit(spec_of(backbone), data(backbone))
    left = {}
    for _ in range(3):
        left |= {one.history.member.label: one for one in first.advance()}
    assert not first.finished
    again = ArrayFit(spec_of(backbone), data(backbone))
    again.load(first.save())
    for label, outcome in {**left, **ended(again)}.items():
        for name, value in outcome.arrays.items():
            assert np.array_equal(value, whole[label].arrays[name]), (label, name)


def test_only_the_members_that_hold_a_part_back_are_evaluated_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Validation costs a pass over the data for each mixing, not for each member."""
    seen = []

    def watched(model, data, rows):  # type: ignore[no-untyped-def]
        said = predictions(model, data, rows)
        seen.append(tuple(said.shape))
        return said

    from trainables.training import inner_folds

    predictions = inner_folds.predictions
    monkeypatch.setattr(inner_folds, "predictions", watched)
    fit = ArrayFit(spec_of("megnet"), data("megnet"))
    fit.training.run_epoch()
    held = len(split_dataset(data("megnet"), 1, 0).learned) / INNER
    assert len(seen) == INNER and {models for models, _ in seen} == {2}
    assert all(abs(rows - held) < 1 for _, rows in seen)
