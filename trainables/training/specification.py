"""The specification of a model before training: one immutable value, its JSON text, and its key.

A record contains the text, from which the value is restored. The key leaves out fields at their
defaults, so that a new field with a default changes no key, and a text without that field still
specifies the same model. So a default must not change without a new `training` version.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from types import UnionType
from typing import Any, Generic, Literal, Self, TypeVar, cast, get_args, get_origin, get_type_hints

import numpy as np

from trainables.crystals.condition import WHOLE, Condition
from trainables.crystals.split import InnerFold
from trainables.models.backbones import BACKBONES
from trainables.models.options import CrabNetOptions, NetworkOptions
from trainables.models.recipe import CyclicRecipe, Recipe
from trainables.representation import Representation
from trainables.targets.base import NUMBER, Target

EXACT = 1 << 53  # smaller integers are exact as floats
# Raised whenever a change makes trained models differ in more than rounding; it is part of a
# model's key, so that results of different code are never mixed in one run. The test
# tests/training/test_golden.py fails when the numbers change and this was not raised.
TRAINING_VERSION = 2


class SpecificationError(ValueError):
    """A text that specifies no model; a few words."""


@dataclass(frozen=True, kw_only=True)
class Specification:
    """Everything that determines a trained model, for any network.

    Attributes:
        data: fingerprint of the samples as the network gets them, with their targets and folds.
        representation: of a sample for the network.
        recipe: with the epochs and the patience in effect.
        training: version of the training code.
    """

    data: str
    target: Target
    representation: Representation
    fold: int
    seed: int
    recipe: Recipe
    training: int

    @cached_property
    def key(self) -> str:
        """Key of the model: 24 hex digits of the SHA-256 of all fields not at their defaults."""
        return hashlib.sha256(_canonical(_plain(self, defaults=False)).encode()).hexdigest()[:24]

    @property
    def text(self) -> str:
        """All fields as canonical JSON, which `read` parses."""
        return _canonical(_plain(self, defaults=True))

    @classmethod
    def read(cls, text: str) -> Self:
        """Parses a specification.

        Raises:
            SpecificationError: it is malformed; the field is named.
        """
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            raise SpecificationError("no JSON") from None
        if not isinstance(found, dict):
            raise SpecificationError("no object")
        return cast(Self, _decoded(cls, found, cls._classes(found)))

    @classmethod
    def _classes(cls, found: Mapping[str, Any]) -> dict[str, type]:
        """The classes of the fields that may have several, each with fields of its own."""
        recipe = found.get("recipe")
        cyclic = isinstance(recipe, dict) and "half" in recipe
        return {"recipe": CyclicRecipe if cyclic else Recipe}


S = TypeVar("S", bound=Specification)


@dataclass(frozen=True, kw_only=True)
class MembersSpec(Generic[S]):
    """Models that are trained together.

    Attributes:
        models: label -> its specification; they differ in `member` alone.
    """

    models: dict[str, S]

    @property
    def first(self) -> S:
        """What the members share."""
        return next(iter(self.models.values()))

    def only(self, labels: Collection[str]) -> Self:
        """Some of the members."""
        return dataclasses.replace(self, models={one: self.models[one] for one in labels})


@dataclass(frozen=True, kw_only=True)
class Variant:
    """In what a model differs from the others of its array.

    Attributes:
        mixing: label of its mixing.
        inner_fold: that it holds back; None in an array without inner folds.
    """

    mixing: str
    inner_fold: int | None = None

    @property
    def label(self) -> str:
        """Its name in the array: "H", or "H inner 3"."""
        return self.mixing if self.inner_fold is None else f"{self.mixing} inner {self.inner_fold}"

    @classmethod
    def parse(cls, label: str) -> Variant:
        """The inverse of `label`."""
        mixing, inner, number = label.partition(" inner ")
        return cls(mixing=mixing, inner_fold=int(number) if inner else None)


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Specification):
    """A graph network of a grid.

    Attributes:
        dim: of the element vectors.
        mixing: label of their mixing.
        options: of the network.
        network: version of the network, where another package has it; `training` is ours.
        condition: what it may learn from, within its fold.
        inner_folds: parts into which the fold's training part is divided; 0 for the usual split.
        inner_fold: which of these parts the model holds back.
    """

    backbone: str
    dim: int
    mixing: str
    options: NetworkOptions
    network: int = 1
    condition: Condition = WHOLE
    inner_folds: int = 0
    inner_fold: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.inner_fold < max(1, self.inner_folds):
            raise ValueError(f"inner_fold is {self.inner_fold} of {self.inner_folds}")

    @property
    def variant(self) -> Variant:
        """What distinguishes the model in its array."""
        held = self.inner_fold if self.inner_folds else None
        return Variant(mixing=self.mixing, inner_fold=held)

    @property
    def inner(self) -> InnerFold | None:
        """The inner fold that the model holds back, if there are any."""
        return InnerFold(self.inner_fold, self.inner_folds) if self.inner_folds else None

    @classmethod
    def _classes(cls, found: Mapping[str, Any]) -> dict[str, type]:
        backbone = BACKBONES.get(str(found.get("backbone")))
        if backbone is None:
            raise SpecificationError(f"backbone {str(found.get('backbone'))[:40]!a} is unknown")
        own = {"options": backbone.options, "representation": type(backbone.representation)}
        return super()._classes(found) | own


@dataclass(frozen=True, kw_only=True)
class ArraySpec:
    """One array: what its members share, and their mixings.

    Attributes:
        mixings: label of a `Variant` -> key of the model, in order.
        options: of the network; None for the defaults.
        target: what is learned.
        condition: what its members may learn from, within the fold.
        table: [119, C], the recipe's handcrafted table if it is not built in.
        inner_folds: as of the models.
    """

    backbone: str
    dim: int
    mixings: dict[str, str]
    fold: int
    seed: int
    recipe: Recipe
    options: NetworkOptions | None = None
    target: Target = NUMBER
    condition: Condition = WHOLE
    inner_folds: int = 0
    table: np.ndarray | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, models: Iterable[ModelSpec]) -> ArraySpec:
        """The array of some models, which differ only in their variants."""
        first, *_ = models = list(models)
        return cls(
            backbone=first.backbone,
            dim=first.dim,
            mixings={model.variant.label: model.key for model in models},
            fold=first.fold,
            seed=first.seed,
            recipe=first.recipe,
            options=first.options,
            target=first.target,
            condition=first.condition,
            inner_folds=first.inner_folds,
        )

    @property
    def width(self) -> int:
        """Width of the node features."""
        return (self.options or BACKBONES[self.backbone].options()).node_width(self.dim)


@dataclass(frozen=True, kw_only=True)
class CrabNetSpec(Specification):
    """A CrabNet of a comparison.

    Attributes:
        table: digest of the element vectors.
        trainable: whether the vectors are trained too.
        options: of the network.
    """

    table: str
    trainable: bool
    options: CrabNetOptions


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


@cache
def _fields(kind: type) -> tuple[tuple[str, Any, Any], ...]:
    """Name, type and default of each field; MISSING if it has none."""
    hints = get_type_hints(kind)
    declared = dataclasses.fields(kind)
    return tuple((field.name, hints[field.name], field.default) for field in declared)


def _plain(value: Any, *, defaults: bool) -> Any:
    """A value as a dict, like `dataclasses.asdict`, with or without fields at their defaults."""
    kind = type(value)
    if not dataclasses.is_dataclass(kind):
        return value
    own = ((name, getattr(value, name), default) for name, _, default in _fields(kind))
    return {
        name: _plain(part, defaults=defaults)
        for name, part, default in own
        if defaults or part != default
    }


def _decoded(kind: Any, value: Any, classes: Mapping[str, type], name: str = "") -> Any:
    """Parses a value of a type from its JSON.

    Args:
        classes: by name, of fields that are declared with a base class.
        name: of the field, for the error.
    """
    kind = classes.get(name, kind)
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return _object(kind, value, classes)
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_decoded(get_args(kind)[0], part, classes) for part in value)
    if kind is float and type(value) is int and abs(value) < EXACT:
        return float(value)
    if not _fits(kind, value):
        raise SpecificationError(f"{name} is {str(value)[:40]!a}")
    return value


def _fits(kind: Any, value: Any) -> bool:
    """Whether a plain value has a type: a class, a union, or a set of literals."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) is UnionType:
        return type(value) in get_args(kind)
    return type(value) is kind and (kind is not float or math.isfinite(value))


def _object(kind: Any, value: Mapping[str, Any], classes: Mapping[str, type]) -> Any:
    known = _fields(kind)
    if unknown := sorted(value.keys() - {name for name, _, _ in known}):
        raise SpecificationError(f"field {unknown[0][:40]!a} is unknown")
    given = {}
    for name, own, default in known:
        if name in value:
            given[name] = _decoded(own, value[name], classes, name)
        elif default is dataclasses.MISSING:
            raise SpecificationError(f"field {name} is missing")
    try:
        return kind(**given)
    except ValueError as error:
        raise SpecificationError(str(error)) from None
