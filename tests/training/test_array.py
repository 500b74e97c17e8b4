"""An array gives each member what it would get alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
import torch
from torch import nn

from trainables.crystals.split import Split, split_fold
from trainables.models.backbones import BACKBONES
from trainables.models.layers import Generators
from trainables.models.mixing import Mixing
from trainables.models.recipe import Recipe
from trainables.representations.batches import DeviceColumns
from trainables.targets.base import Scaler, Target
from trainables.targets.kinds import kind_of
from trainables.testing.samples import made_up_dataset
from trainables.training.array import ArrayTraining, Member, Trained
from trainables.training.fit import build_embedding, build_model
from trainables.training.problem import GraphProblem, predictions

# Stacked products round differently from single ones; in float64 this is what ten epochs leave.
TOLERANCE = 1e-8
SCALE = 2.5
KIND = kind_of(Target(name="energy", unit="eV"))
SCALER = Scaler(mean=0.0, scale=SCALE, unit=SCALE)
LABELS = ("H", "-2", "auto", "L", "residual")
MEMBERS = [
    Member(key=f"{label}-{seed}", label=label, seed=seed, rate=rate)
    for seed, (label, rate) in enumerate(zip(LABELS, (1, 0.3, 1, 1, 0.5), strict=True))
]
RECIPE = Recipe(name="tuned", optimiser="adamw", lr=5e-3, epochs=10, patience=50, batch_size=16)
both = pytest.mark.parametrize("backbone", BACKBONES)


def prepared(backbone: str) -> tuple[DeviceColumns, Split]:
    dataset = made_up_dataset(backbone, 48)
    target = (dataset.target - dataset.target.mean()) / dataset.target.std()
    data = DeviceColumns.load(dataset.graphs, target, dtype=torch.float64)
    return data, split_fold(dataset.rows, dataset.total, fold=0, seed=0)


def built(backbone: str, generators: Generators, labels: Sequence[str]) -> nn.Module:
    embedding = build_embedding(generators, list(map(Mixing, labels)), 6)
    return build_model(backbone, generators, embedding)


def started(backbone: str, members: Sequence[Member], recipe: Recipe) -> ArrayTraining:
    data, split = prepared(backbone)
    return ArrayTraining(
        members,
        lambda generators, members: built(
            backbone, generators, [member.label for member in members]
        ),
        GraphProblem(data, split, recipe, kind=KIND, scaler=SCALER, order_seed=5),
        recipe,
    )


def finished(training: ArrayTraining) -> dict[str, Trained]:
    left: dict[str, Trained] = {}
    for _ in range(1000):
        for trained in training.run_epoch():
            assert trained.history.member.key not in left
            left[trained.history.member.key] = trained
        if not training.active:
            return left
    raise AssertionError("the array never ended")


def assert_alike(a: Trained, b: Trained) -> None:
    assert a.history.epochs == b.history.epochs
    assert a.history.best_epoch == b.history.best_epoch
    for name in ("val_error", "train_loss"):
        np.testing.assert_allclose(
            getattr(a.history, name), getattr(b.history, name), rtol=TOLERANCE, atol=TOLERANCE
        )
    others = b.model.state_dict()
    for name, value in a.model.state_dict().items():
        torch.testing.assert_close(value, others[name], rtol=TOLERANCE, atol=TOLERANCE, msg=name)


@both
@pytest.mark.parametrize("averaging", [0.0, 0.9])
@pytest.mark.parametrize(
    ("optimiser", "lr"), [("sgd", 0.01), ("adam", 5e-3), ("adamw", 5e-3)], ids=lambda x: str(x)
)
def test_array_is_the_loop_over_its_members(
    backbone: str, optimiser: str, lr: float, averaging: float
) -> None:
    recipe = dataclasses.replace(
        RECIPE,
        optimiser=optimiser,
        lr=lr,
        weight_decay=0.1 if optimiser == "adamw" else 0.0,
        averaging=averaging,
        schedule="cosine",
        loss="l1" if averaging else "mse",
        epochs=6,
    )
    together = finished(started(backbone, MEMBERS, recipe))
    for member in MEMBERS[::2]:
        alone = finished(started(backbone, [member], recipe))
        assert_alike(together[member.key], alone[member.key])
    losses = together[MEMBERS[2].key].history.train_loss
    assert losses[-1] < losses[0]
    untrained = started(backbone, [MEMBERS[2]], recipe).model.state_dict()
    moved = together[MEMBERS[2].key].model.state_dict()
    assert max(float((moved[name] - untrained[name]).abs().max()) for name in moved) > 1e-3


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
def test_a_members_rate_is_its_own(optimiser: Literal["sgd", "adam", "adamw"]) -> None:
    recipe = dataclasses.replace(RECIPE, optimiser=optimiser, lr=4e-3, weight_decay=0.1, epochs=4)
    slow = dataclasses.replace(MEMBERS[0], rate=0.25)
    together = finished(started("cgcnn", [slow, MEMBERS[1]], recipe))
    member = dataclasses.replace(slow, rate=1.0)
    alone = finished(started("cgcnn", [member], dataclasses.replace(recipe, lr=1e-3)))
    assert_alike(together[slow.key], alone[member.key])


@both
@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_members_that_stop_at_different_epochs(backbone: str, averaging: float) -> None:
    recipe = dataclasses.replace(RECIPE, lr=0.03, epochs=25, patience=2, averaging=averaging)
    together = finished(started(backbone, MEMBERS, recipe))
    assert len({trained.history.epochs for trained in together.values()}) >= 2
    for member in MEMBERS:
        alone = finished(started(backbone, [member], recipe))
        assert_alike(together[member.key], alone[member.key])


@both
def test_patience_counts_epochs_without_a_better_one(backbone: str) -> None:
    recipe = dataclasses.replace(RECIPE, lr=0.03, epochs=25, patience=2)
    for trained in finished(started(backbone, MEMBERS, recipe)).values():
        curve = trained.history.val_error
        stops = [
            e for e in range(2, len(curve)) if min(curve[e - 1 : e + 1]) >= min(curve[: e - 1])
        ]
        assert len(curve) == (stops[0] + 1 if stops else 25)


@both
@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_kept_weights_are_those_of_the_best_epoch(backbone: str, averaging: float) -> None:
    recipe = dataclasses.replace(RECIPE, lr=0.03, epochs=12, averaging=averaging)
    trained = finished(started(backbone, MEMBERS, recipe))
    data, split = prepared(backbone)
    not_the_last = 0
    for one in trained.values():
        history = one.history
        assert history.best_error == history.val_error[history.best_epoch] == min(history.val_error)
        rows = torch.from_numpy(split.validation)
        again = float(KIND.errors(predictions(one.model, data, rows), data.target[rows], SCALER)[0])
        assert again == pytest.approx(history.best_error, rel=1e-10)
        not_the_last += history.best_epoch < history.epochs - 1
    assert not_the_last  # or the test would say nothing


@both
@pytest.mark.parametrize("when", [0, 3])
def test_a_member_that_diverges_leaves_the_others_alone(backbone: str, when: int) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=6, averaging=0.9)
    training = started(backbone, MEMBERS, recipe)
    left: dict[str, Trained] = {}
    for epoch in range(6):
        if epoch == when:
            with torch.no_grad():
                training.model.embedding.table[1] = torch.nan
        for trained in training.run_epoch():
            left[trained.history.member.key] = trained
    assert not training.active
    assert left[MEMBERS[1].key].history.diverged
    assert left[MEMBERS[1].key].history.epochs == when + 1
    before = left[MEMBERS[1].key].history.val_error[:when]
    best = before.index(min(before)) if before else -1
    assert left[MEMBERS[1].key].history.best_epoch == best
    others = finished(started(backbone, [MEMBERS[0], *MEMBERS[2:]], recipe))
    for key, trained in others.items():
        assert not left[key].history.diverged
        assert_alike(left[key], trained)


@both
def test_a_rate_that_is_far_too_high_ends_the_array(backbone: str) -> None:
    recipe = dataclasses.replace(RECIPE, optimiser="sgd", lr=1e200, epochs=50)
    left = finished(started(backbone, MEMBERS, recipe))
    assert all(one.history.diverged and one.history.epochs < 50 for one in left.values())


@both
def test_training_is_plain_training(backbone: str) -> None:
    """One member against the loop that anyone would write."""
    recipe = dataclasses.replace(RECIPE, optimiser="adam", lr=5e-3, epochs=3)
    trained = finished(started(backbone, [MEMBERS[2]], recipe))[MEMBERS[2].key]
    data, split = prepared(backbone)
    generator = torch.Generator().manual_seed(MEMBERS[2].seed)
    model = built(backbone, [generator], [MEMBERS[2].label]).double()
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    order, curve = np.random.default_rng(5), []
    for _ in range(3):
        model.train()
        shuffled = split.train[order.permutation(len(split.train))]
        for rows in np.array_split(shuffled, -(-len(shuffled) // 16)):
            batch = data.take(torch.from_numpy(rows))
            optimiser.zero_grad()
            torch.nn.functional.mse_loss(model(batch)[0], batch.target).backward()
            optimiser.step()
        model.eval()
        with torch.no_grad():
            batch = data.take(torch.from_numpy(split.validation))
            curve.append(float((model(batch)[0] - batch.target).abs().mean()) * SCALE)
    np.testing.assert_allclose(trained.history.val_error, curve, rtol=TOLERANCE)


def test_time_is_shared_out() -> None:
    training = started("cgcnn", MEMBERS, dataclasses.replace(RECIPE, epochs=2))
    left = finished(training)
    assert len({one.history.seconds for one in left.values()}) == 1
    assert all(one.history.seconds > 0 for one in left.values())
