"""A training that is taken up again goes on to the bit as if it had never stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load, save

from tests.compositions_for_tests import made_up_compositions, made_up_table
from trainables.models.options import CrabNetOptions
from trainables.models.recipe import CyclicRecipe, Recipe
from trainables.testing.samples import made_up_dataset
from trainables.training import snapshot
from trainables.training.fit import ArrayFit
from trainables.training.outcome import Outcome
from trainables.training.snapshot import SnapshotError
from trainables.training.specification import ArraySpec
from trainables.training.transfer import Entrant, TransferData, TransferFit, TransferSpec

EPOCHS = 7
RECIPE = Recipe(
    name="tuned", optimiser="adamw", lr=5e-3, weight_decay=0.1, schedule="cosine",
    averaging=0.9, epochs=EPOCHS, patience=50, batch_size=8,
)  # fmt: skip
Fit = ArrayFit | TransferFit


def graphs(backbone: str, recipe: Recipe = RECIPE, labels: str = "H 0 L") -> Callable[[], Fit]:
    spec = ArraySpec(
        backbone=backbone, dim=4, mixings={label: label for label in labels.split()}, fold=0,
        seed=0, recipe=recipe,
    )  # fmt: skip
    return lambda: ArrayFit(spec, made_up_dataset(backbone, 30))


def formulas(recipe: Recipe, tables: str = "ab") -> Callable[[], Fit]:
    entrants = [Entrant(table=name, fold=fold, seed=0) for fold in (0, 1) for name in tables]
    options = CrabNetOptions(width=8, layers=1, heads=2, hidden=12, head_widths=(10,))
    spec = TransferSpec(
        models={one: one.label for one in entrants}, seed=0, recipe=recipe, options=options
    )
    data = TransferData(
        made_up_compositions(40), {one: made_up_table(3, ord(one.table)) for one in entrants}
    )
    return lambda: TransferFit(spec, data)


CYCLIC = CyclicRecipe(
    name="paper", optimiser="lamb", lr=0.02, lowest=0.1, half=1, epochs=EPOCHS, patience=50,
    batch_size=8,
)  # fmt: skip
KINDS: dict[str, Callable[[], Fit]] = {
    "cgcnn adamw averaged": graphs("cgcnn"),
    "megnet adam": graphs("megnet", dataclasses.replace(RECIPE, optimiser="adam", averaging=0.0)),
    "cgcnn sgd": graphs("cgcnn", dataclasses.replace(RECIPE, optimiser="sgd", averaging=0.0)),
    "schnet adamw averaged": graphs("schnet"),
    "crabnet adamw": formulas(RECIPE),
    "crabnet lamb cycles": formulas(CYCLIC),
}


def ended(fit: Fit) -> dict[str, Outcome]:
    found = {}
    while not fit.finished:
        found |= {outcome.history.member.key: outcome for outcome in fit.advance()}
    return found


def assert_same(one: Outcome, other: Outcome) -> None:
    assert one.metrics == other.metrics
    assert one.history.best_epoch == other.history.best_epoch
    for name, array in one.arrays.items():
        assert np.array_equal(array, other.arrays[name]), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("epoch", [0, 1, EPOCHS // 2, EPOCHS - 1])
def test_to_the_bit_from_any_epoch(kind: str, epoch: int) -> None:
    make = KINDS[kind]
    undisturbed = ended(make())
    stopped = make()
    for _ in range(epoch):
        assert not list(stopped.advance())
    content = stopped.save()
    again = make()
    again.load(content)
    found = ended(again)
    assert set(found) == set(undisturbed)
    for key, outcome in found.items():
        assert_same(outcome, undisturbed[key])
        assert outcome.history.epochs == EPOCHS


def test_members_that_have_left_stay_out() -> None:
    def one_has_left() -> Fit:
        fit = graphs("cgcnn")()
        list(fit.advance())
        fit.training._select([0, 2])
        return fit

    undisturbed = ended(one_has_left())
    content = one_has_left().save()
    again = graphs("cgcnn", labels="H L")()
    again.load(content)
    found = ended(again)
    assert set(found) == {"H", "L"}
    for key, outcome in found.items():
        assert_same(outcome, undisturbed[key])


def test_a_part_of_the_members_goes_on_from_an_earlier_snapshot() -> None:
    """If records were written after the snapshot, the other models resume from it."""
    make = graphs("megnet")
    fit = make()
    list(fit.advance())
    content = fit.save()
    undisturbed = ended(fit)
    alone = graphs("megnet", labels="0 L")()
    alone.load(content)
    found = ended(alone)
    assert set(found) == {"0", "L"}
    for key, outcome in found.items():
        for name, value in outcome.metrics.items():
            assert value == pytest.approx(undisturbed[key].metrics[name], rel=1e-5)


def test_what_is_no_snapshot_of_these_models() -> None:
    fit = graphs("cgcnn")()
    content = fit.save()
    for at in (0, 40, len(content) // 2, len(content) - 1):
        broken = bytearray(content)
        broken[at] ^= 1
        with pytest.raises(SnapshotError, match="damaged"):
            graphs("cgcnn")().load(bytes(broken))
    for size in (0, 10, 31, 32, 100, len(content) - 1):
        with pytest.raises(SnapshotError):
            graphs("cgcnn")().load(content[:size])
    with pytest.raises(SnapshotError, match="other models"):
        graphs("cgcnn", labels="H 2")().load(content)


def test_a_snapshot_of_an_older_layout_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        older.setattr(snapshot, "FORMAT", snapshot.FORMAT - 1)
        content = graphs("cgcnn")().save()
    with pytest.raises(SnapshotError, match="of another version"):
        graphs("cgcnn")().load(content)


def resealed(content: bytes, state: dict[str, Any], drop: str = "") -> bytes:
    """A snapshot with other state, without some tensors, and with a digest that is right."""
    tensors = load(content[snapshot.DIGEST :])
    kept = {name: value for name, value in tensors.items() if not drop or drop not in name}
    body = save(kept, {"state": json.dumps(snapshot._state(content) | state)})
    return hashlib.sha256(body).digest() + body


@pytest.mark.parametrize(
    ("state", "drop"),
    [
        ({"histories": []}, ""),
        ({"histories": {}}, ""),
        ({"histories": [{"key": name} for name in "H0L"], "problem": None}, ""),
        ({"average": None}, ""),
        ({"optimiser": [{}]}, ""),
        ({"optimiser": "x"}, ""),
        ({}, "model/"),
        ({"format": None}, ""),
    ],
)
def test_a_whole_snapshot_that_is_none_is_refused(state: dict[str, Any], drop: str) -> None:
    """Then the array begins again, to the same bits; an error would let its models go on alone."""
    content = resealed(graphs("cgcnn")().save(), state, drop)
    with pytest.raises(SnapshotError):
        graphs("cgcnn")().load(content)
