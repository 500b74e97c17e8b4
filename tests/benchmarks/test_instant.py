"""Models that train nothing are to look like those that do."""

from __future__ import annotations

import dataclasses

from benchmarks.instant import InstantFit, sample, thousands
from trainables.models.recipe import Recipe
from trainables.testing.samples import made_up_dataset
from trainables.training.fit import fit
from trainables.training.specification import ArraySpec

RECIPE = Recipe(name="tuned", optimiser="adamw", lr=1e-3, epochs=3, batch_size=8)
SPEC = ArraySpec(
    backbone="cgcnn", dim=4, mixings={"H": "a", "0": "b"}, fold=0, seed=0, recipe=RECIPE
)


def test_an_instant_model_leaves_as_much_as_a_real_one() -> None:
    dataset = made_up_dataset("cgcnn", 24)
    real = {outcome.history.member.key: outcome for outcome in fit(SPEC, dataset)}
    one = dataclasses.replace(SPEC, mixings={"0": "any"})
    instant = InstantFit({("cgcnn", 4): sample(one, dataset)}, SPEC, dataset, "cpu")
    outcomes = list(instant.advance())
    assert instant.finished
    members = [outcome.history.member for outcome in outcomes]
    assert [(member.key, member.label) for member in members] == [("a", "H"), ("b", "0")]
    for outcome in outcomes:
        shapes = {name: value.shape for name, value in outcome.arrays.items()}
        assert shapes == {name: value.shape for name, value in real["b"].arrays.items()}
        assert outcome.metrics.keys() == real["b"].metrics.keys()


def test_each_thousand_is_timed_and_the_rest_left_out() -> None:
    moments = [0.5 * number for number in range(1500)] + [1000.0 + number for number in range(600)]
    assert thousands(moments) == [500.0, moments[2000] - moments[1000]]
    assert thousands(moments[:900]) == []
