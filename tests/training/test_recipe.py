"""Schedules, and the published recipe."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn

from trainables.models.backbones import BACKBONES
from trainables.models.recipe import Recipe
from trainables.training.optimisers import build_optimiser

STEP = Recipe(name="paper", optimiser="sgd", lr=1.0, schedule="step", milestones=(100, 200))
COSINE = Recipe(name="tuned", optimiser="adamw", lr=1.0, schedule="cosine", warmup=0.1, epochs=200)


@pytest.mark.parametrize(
    ("epoch", "rate"), [(0, 1), (99.99, 1), (100, 0.1), (199, 0.1), (200, 0.01), (1e4, 0.01)]
)
def test_steps(epoch: float, rate: float) -> None:
    assert STEP.rate(epoch) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(0, 0), (10, 0.5), (20, 1), (110, 0.5), (155, 0.5 * (1 - math.sqrt(0.5))), (200, 0)],
)
def test_cosine_with_warm_up(epoch: float, rate: float) -> None:
    assert COSINE.rate(epoch) == pytest.approx(rate, abs=1e-3)


def test_cosine_rises_and_then_falls() -> None:
    rates = [COSINE.rate(epoch / 4) for epoch in range(800)]
    top = rates.index(max(rates))
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert min(rates) > 0  # the first step already moves
    assert max(rates) <= 1


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_cosine_of_few_epochs(epochs: int) -> None:
    short = dataclasses.replace(COSINE, epochs=epochs)
    assert all(0 < short.rate(step / 10) <= 1.01 for step in range(10 * epochs))


def test_constant() -> None:
    recipe = Recipe(name="paper", optimiser="adam", lr=1.0)
    assert {recipe.rate(epoch) for epoch in (0, 0.5, 10_000)} == {1.0}


def test_paper_is_the_thesis() -> None:
    cgcnn, megnet = BACKBONES["cgcnn"].recipes["paper"], BACKBONES["megnet"].recipes["paper"]
    assert (cgcnn.optimiser, cgcnn.lr, cgcnn.schedule) == ("sgd", 0.01, "step")
    assert cgcnn.milestones == (100,)
    assert (megnet.optimiser, megnet.lr, megnet.schedule) == ("adam", 1e-3, "constant")
    for recipe in (cgcnn, megnet):
        assert (recipe.batch_size, recipe.loss, recipe.patience) == (128, "mse", 500)
        assert (recipe.averaging, recipe.weight_decay) == (0, 0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)],
)
def test_optimisers(name: str, kind: type[torch.optim.Optimizer]) -> None:
    recipe = Recipe(name="tuned", optimiser=name, lr=0.02, weight_decay=0.3)
    optimiser = build_optimiser(recipe, nn.Linear(2, 2))
    assert isinstance(optimiser, kind)
    (group,) = optimiser.param_groups
    assert group["lr"] == 0.02
    assert group["weight_decay"] == (0.3 if name == "adamw" else 0)
    assert group.get("momentum", 0.9) == 0.9


def test_every_recipe_is_filed_under_its_name() -> None:
    for spec in BACKBONES.values():
        assert {name: recipe.name for name, recipe in spec.recipes.items()} == {
            "paper": "paper",
            "tuned": "tuned",
        }


@pytest.mark.parametrize(
    "given",
    [{"lr": 0.0}, {"lr": -1e-3}, {"lr": float("nan")}, {"lr": float("inf")}, {"epochs": 0},
     {"patience": 0}, {"batch_size": 0}],
)  # fmt: skip
def test_a_recipe_by_which_nothing_learns_is_refused(given: dict[str, float]) -> None:
    (name,) = given
    with pytest.raises(ValueError, match=name):
        dataclasses.replace(BACKBONES["cgcnn"].recipes["tuned"], **given)
