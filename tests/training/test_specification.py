"""What specifies a model: every part of it counts, and what is new and at its default does not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from trainables.compositions.dataset import FORMULA
from trainables.crystals.condition import Condition
from trainables.models import backbones
from trainables.models.backbones import BACKBONES
from trainables.models.options import CGCNNOptions, CrabNetOptions
from trainables.models.recipe import CyclicRecipe, Recipe
from trainables.representations.quotient_graph import QuotientGraph
from trainables.targets.base import Target
from trainables.training.specification import (
    CrabNetSpec,
    ModelSpec,
    Specification,
    SpecificationError,
)

SHARED: dict[str, Any] = {
    "data": "0123", "target": Target(name="gap", unit="eV"), "fold": 1, "seed": 0, "training": 2,
}  # fmt: skip
CYCLIC = CyclicRecipe(name="paper", optimiser="lamb", lr=6e-3, half=10, lowest=0.1)
GRAPH_NETWORK = ModelSpec(
    **SHARED, representation=BACKBONES["cgcnn"].representation, backbone="cgcnn", dim=16,
    mixing="-2", recipe=BACKBONES["cgcnn"].recipes["tuned"], options=CGCNNOptions(),
)  # fmt: skip
HELD_OUT = Condition(leave_out="O")  # shots are of an element that is held out
MODELS: dict[str, Specification] = {
    "CGCNN": replace(GRAPH_NETWORK, inner_folds=3, inner_fold=1, condition=HELD_OUT),
    "MEGNet": replace(
        GRAPH_NETWORK, backbone="megnet", representation=BACKBONES["megnet"].representation,
        recipe=BACKBONES["megnet"].recipes["paper"], options=BACKBONES["megnet"].options(),
        inner_folds=2, condition=HELD_OUT,
    ),
    "CrabNet": CrabNetSpec(
        **SHARED, representation=FORMULA, recipe=CYCLIC, table="89ab", trainable=False,
        options=CrabNetOptions(),
    ),
}  # fmt: skip
# Where a value cannot be made another by adding to it.
OTHERS = {
    "backbone": "megnet", "optimiser": "sgd", "loss": "laplace", "schedule": "step",
    "unit": None, "conv_width": 24, "max_neighbours": 7,
    "handcrafted": "elements", "leave_out": "Ta",
}  # fmt: skip


def other(name: str, value: Any) -> Any:
    """A value of a field's type that is not the given one."""
    if name == "name" and value in ("paper", "tuned"):
        return "paper" if value == "tuned" else "tuned"
    if name in OTHERS:
        return "cgcnn" if value == OTHERS[name] else OTHERS[name]
    return {bool: lambda: not value, str: lambda: f"{value}x", tuple: lambda: (*value, 9)}.get(
        type(value), lambda: value + 1
    )()


def each_changed(value: Any) -> Iterator[tuple[str, Any]]:
    """A specification with each of its fields changed in turn, and those of its parts."""
    for field in dataclasses.fields(value):
        part = getattr(value, field.name)
        if dataclasses.is_dataclass(part):
            for name, changed in each_changed(part):
                yield f"{field.name}.{name}", replace(value, **{field.name: changed})
        else:
            yield field.name, replace(value, **{field.name: other(field.name, part)})


@pytest.mark.parametrize("name", MODELS)
def test_every_field_is_in_the_key_and_in_the_text(name: str) -> None:
    spec = MODELS[name]
    changed = dict(each_changed(spec))
    assert {"fold", "recipe.patience", "target.unit", "representation.version"} <= changed.keys()
    same = [field for field, one in changed.items() if one.key == spec.key or one.text == spec.text]
    assert not same
    assert len({one.key for one in changed.values()}) == len(changed)


@pytest.mark.parametrize("name", MODELS)
def test_a_text_says_every_value_and_is_read_back(name: str) -> None:
    spec = MODELS[name]
    said = json.loads(spec.text)
    assert said == json.loads(json.dumps(dataclasses.asdict(spec)))
    assert type(spec).read(spec.text) == spec
    said["recipe"]["lr"] = 1
    read = type(spec).read(json.dumps(said, indent=1))
    assert read == replace(spec, recipe=replace(spec.recipe, lr=1.0))
    assert read.key == replace(spec, recipe=replace(spec.recipe, lr=1.0)).key


def test_a_key_is_a_file_name_and_the_same_every_time() -> None:
    assert GRAPH_NETWORK.key == replace(GRAPH_NETWORK).key
    assert len(GRAPH_NETWORK.key) == 24 and set(GRAPH_NETWORK.key) <= set("0123456789abcdef")


# ------------------------------------------------------------------ fields that are added one day


@dataclass(frozen=True, kw_only=True)
class LaterRecipe(Recipe):
    clipping: float = 0.0


@dataclass(frozen=True, kw_only=True)
class LaterOptions(CGCNNOptions):
    dropout: float = 0.0


@dataclass(frozen=True, kw_only=True)
class LaterTarget(Target):
    frame: str = "cell"


@dataclass(frozen=True, kw_only=True)
class LaterGraph(QuotientGraph):
    self_edges: bool = False


@dataclass(frozen=True, kw_only=True)
class LaterSpec(ModelSpec):
    charge: int | None = None


LATER: dict[str, tuple[type, dict[str, Any]]] = {
    "recipe": (LaterRecipe, {"clipping": 1.0}),
    "options": (LaterOptions, {"dropout": 0.1}),
    "target": (LaterTarget, {"frame": "crystal"}),
    "representation": (LaterGraph, {"self_edges": True}),
}


def as_later(kind: type, value: Any) -> Any:
    own = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return kind(**own)


@pytest.mark.parametrize("part", LATER)
def test_a_new_field_with_a_default_changes_no_key(part: str) -> None:
    kind, change = LATER[part]
    later = as_later(kind, getattr(GRAPH_NETWORK, part))
    spec = replace(GRAPH_NETWORK, **{part: later})
    assert spec.key == GRAPH_NETWORK.key and spec.text != GRAPH_NETWORK.text
    changed = replace(GRAPH_NETWORK, **{part: replace(later, **change)})
    assert changed.key != GRAPH_NETWORK.key


def test_a_new_field_of_the_whole_changes_no_key_either() -> None:
    later = as_later(LaterSpec, GRAPH_NETWORK)
    assert later.key == GRAPH_NETWORK.key
    assert replace(later, charge=1).key != GRAPH_NETWORK.key


def test_a_text_of_before_is_read_with_the_new_field_at_its_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    later = replace(BACKBONES["cgcnn"], options=LaterOptions)
    monkeypatch.setitem(backbones.BACKBONES, "cgcnn", later)
    read = ModelSpec.read(GRAPH_NETWORK.text)
    assert read.options == LaterOptions() and read.key == GRAPH_NETWORK.key
    assert replace(read, options=LaterOptions(dropout=0.1)).key != GRAPH_NETWORK.key


# -------------------------------------------------------------------- texts that say no such model


def without(*path: str) -> Any:
    def change(said: dict[str, Any]) -> None:
        *outer, last = path
        for name in outer:
            said = said[name]
        del said[last]

    return change


def with_value(value: Any, *path: str) -> Any:
    def change(said: dict[str, Any]) -> None:
        *outer, last = path
        for name in outer:
            said = said[name]
        said[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without("dim"), "field dim is missing"),
        (without("recipe", "lr"), "field lr is missing"),
        (with_value(1, "more"), "field 'more' is unknown"),
        (with_value(1, "options", "blocks"), "field 'blocks' is unknown"),
        (with_value("16", "dim"), "dim is '16'"),
        (with_value(True, "dim"), "dim is 'True'"),
        (with_value(1.5, "fold"), "fold is '1.5'"),
        (with_value([1], "options"), "options is '[1]'"),
        (with_value(None, "mixing"), "mixing is 'None'"),
        (with_value("other", "backbone"), "backbone 'other' is unknown"),
        (with_value(["cgcnn"], "backbone"), "backbone \"['cgcnn']\" is unknown"),
        (with_value("other", "recipe", "loss"), "loss is 'other'"),
        (with_value(3, "recipe", "milestones"), "milestones is '3'"),
        (with_value(float("nan"), "recipe", "warmup"), "warmup is 'nan'"),
        (with_value(10**400, "recipe", "warmup"), f"warmup is '1{'0' * 39}'"),
        (with_value(1, "\ud800"), "field '\\ud800' is unknown"),
        (with_value(-1.0, "recipe", "lr"), "lr -1: a rate is a finite number above 0"),
        (with_value("8", "representation", "cutoff"), "cutoff is '8'"),
        (with_value("x" * 1000, "seed"), "seed is 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'"),
    ],
)
def test_a_text_that_specifies_no_model_is_named(change: Any, reason: str) -> None:
    said = json.loads(GRAPH_NETWORK.text)
    change(said)
    with pytest.raises(SpecificationError) as caught:
        ModelSpec.read(json.dumps(said))
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("text", "reason"), [("", "no JSON"), ("[" * 100_000, "no JSON"), ("[1]", "no object")]
)
def test_a_text_that_is_no_object_is_named(text: str, reason: str) -> None:
    with pytest.raises(SpecificationError, match=reason):
        ModelSpec.read(text)
