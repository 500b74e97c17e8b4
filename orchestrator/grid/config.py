"""The configuration of a grid: its axes, each declared once, and what holds for all models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from orchestrator.grid.axes import Axis, Range, named, number, whole
from orchestrator.grid.conditions import LEAST, NONE, Found, combined, left_out
from trainables.crystals.checks import MAX_ATOMS
from trainables.crystals.condition import WHOLE, Condition
from trainables.crystals.registry import FOLDS
from trainables.elements import handcrafted
from trainables.models.backbones import BACKBONES
from trainables.models.mixing import Mixing
from trainables.models.recipe import ElementInit, Recipe, RecipeName

# The column of the ledger by which `select_on` compares mixings.
SELECTED_BY = {"validation": "val_error", "test": "test_error"}
MIXINGS = ("H", "-4", "-2", "0", "2", "4", "L")  # of the thesis
# The usual mixings: ours lie around the point where both channels are about equally long.
BY_RECIPE: dict[RecipeName, tuple[str, ...]] = {
    "paper": MIXINGS,
    "tuned": ("H", "-1.6", "-0.8", "0", "L"),
}
# Strategies: every combination of all values; some of them, drawn. Others are entry points.
GRID, RANDOM = "grid", "random"
STRATEGIES = "elemgrid.strategies"
MOST_INNER = 100  # inner folds; all of their models are trained in one array


def _backbone(given: object) -> str:
    if not isinstance(given, str) or given not in BACKBONES:
        raise ValueError(f"{given!r} is wrong, it must be {' or '.join(map(repr, BACKBONES))}")
    return BACKBONES[given].name  # imported now, so that a broken package is named at once


def _element_init(given: object) -> str:
    if given not in get_args(ElementInit):
        names = " or ".join(map(repr, get_args(ElementInit)))
        raise ValueError(f"{given!r} is wrong, it must be {names}")
    return str(given)


def _handcrafted(given: object) -> str:
    name = named(given)
    handcrafted.demand_name(name)
    return name


class GridConfig(BaseModel):
    """The axes of a grid, each a field with its declaration, and settings of all its models.

    Defaults are those of the thesis (chapters 3.2 and 4.1) except for the recipe and its mixings.
    An axis without values has for each backbone that of its recipe or network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks: Annotated[
        tuple[str, ...],
        Axis(
            column="task", kind=str, read=named, repeats=True, metavar="DATA",
            help="data sets, see below",
        ),
    ]  # fmt: skip
    backbones: Annotated[
        tuple[str, ...],
        Axis(
            column="backbone", kind=str, read=_backbone, choices=BACKBONES,
            help="default: cgcnn megnet",
        ),
    ] = ("cgcnn", "megnet")  # fmt: skip
    dims: Annotated[
        tuple[int | Range, ...],
        Axis(
            column="dim", kind=int, ranges=True,
            read=whole(1, 4096, "a dimension lies between 1 and 4096"),
            help="dimensions of the element vectors; default 8 16 32 64",
        ),
    ] = (8, 16, 32, 64)  # fmt: skip
    recipe: RecipeName = "tuned"
    mixing: Annotated[
        tuple[str, ...],
        Axis(
            column="mixing", kind=str, read=lambda given: Mixing.parse(given).label,
            within_array=True, metavar="γ",
            help="H handcrafted, L learned, γ = log10(learned/handcrafted), auto (γ is learned),"
            " or residual (handcrafted, and a learned deviation of elements that are often seen);"
            f" default {' '.join(BY_RECIPE['tuned'])}, or {' '.join(MIXINGS)} of the recipe paper",
        ),
    ] = Field(default_factory=lambda given: BY_RECIPE[given.get("recipe", "tuned")])  # fmt: skip
    folds: Annotated[
        tuple[int, ...],
        Axis(
            column="fold", kind=int, repeats=True,
            read=whole(0, FOLDS - 1, f"the official folds are 0 to {FOLDS - 1}"),
            help="official folds; default 0 1 2 3 4",
        ),
    ] = tuple(range(FOLDS))  # fmt: skip
    epochs: Annotated[
        tuple[int, ...] | None,
        Axis(
            column="max_epochs", field="epochs", kind=int, part="recipe", ranges=True, alone=True,
            read=whole(1), help="largest number of epochs; default by recipe",
        ),
    ] = None  # fmt: skip
    patience: int | None = Field(None, ge=1)
    lr: Annotated[
        tuple[float | Range, ...] | None,
        Axis(
            column="lr", kind=float, part="recipe", ranges=True, alone=True,
            read=number(lambda rate: 0 < rate < math.inf, "a rate is a finite number above 0"),
            help="highest learning rates; default by recipe",
        ),
    ] = None  # fmt: skip
    batch_size: Annotated[
        tuple[int | Range, ...] | None,
        Axis(
            column="batch_size", kind=int, part="recipe", ranges=True, alone=True, read=whole(1),
            help="numbers of crystals in a batch; default by recipe",
        ),
    ] = None  # fmt: skip
    weight_decay: Annotated[
        tuple[float | Range, ...] | None,
        Axis(
            column="weight_decay", kind=float, part="recipe", ranges=True, alone=True,
            read=number(lambda decay: 0 <= decay < math.inf, "a decay is a finite number from 0"),
            help="decoupled weight decays, of the optimiser adamw; default by recipe",
        ),
    ] = None  # fmt: skip
    element_init: Annotated[
        tuple[str, ...] | None,
        Axis(
            column="element_init", kind=str, part="recipe", alone=True, read=_element_init,
            choices=get_args(ElementInit), applies=lambda mixing: mixing.has_start,
            help="start of the learned element vectors: normal, N(0, 1); zero; uniform, U(-0.05,"
            " 0.05); frozen, N(0, 1) and never trained; default by recipe",
        ),
    ] = None  # fmt: skip
    handcrafted: Annotated[
        tuple[str, ...] | None,
        Axis(
            column="handcrafted", kind=str, part="recipe", alone=True, read=_handcrafted,
            metavar="TABLE", applies=lambda mixing: mixing.has_handcrafted,
            help="tables of the handcrafted element vectors: cgcnn92, 92 columns of zeros and ones;"
            " elements, the same and 17 that tell all elements apart; a table that comes with this"
            " package (Mat2Vec-H-32 …) or with ElementEmbeddings (magpie oliynyk mat2vec skipatom"
            " megnet16 …); FILE or NAME=FILE, a CSV of 118 rows."
            " Columns of foreign tables are standardised; default by recipe",
        ),
    ] = None  # fmt: skip
    conv_width: Annotated[
        tuple[int | Range, ...] | None,
        Axis(
            column="conv_width", kind=int, part="options", ranges=True, alone=True, read=whole(1),
            help="width of CGCNN's convolutions; default: the dimension",
        ),
    ] = None  # fmt: skip
    layers: Annotated[
        tuple[int | Range, ...] | None,
        Axis(
            column="layers", kind=int, part="options", ranges=True, alone=True, read=whole(1),
            help="numbers of layers, where a network has the option `layers` (cgcnn schnet cogn"
            " tensor); others keep theirs",
        ),
    ] = None  # fmt: skip
    width: Annotated[
        tuple[int | Range, ...] | None,
        Axis(
            column="width", kind=int, part="options", ranges=True, alone=True, read=whole(1),
            help="widths of the node features, where a network has the option `width` (schnet cogn"
            " tensor); others keep theirs",
        ),
    ] = None  # fmt: skip
    l_max: Annotated[
        tuple[int, ...] | None,
        Axis(
            column="l_max", kind=int, part="options", alone=True,
            read=whole(0, 3, "the highest order lies between 0 and 3"),
            help="highest orders of the features of an equivariant network (tensor); 0 is an"
            " invariant one of the same size",
        ),
    ] = None  # fmt: skip
    invariant_layers: Annotated[
        tuple[int, ...] | None,
        Axis(
            column="invariant_layers", kind=int, part="options", alone=True, read=whole(0),
            help="of its layers, how many at the start are invariant; default 0",
        ),
    ] = None  # fmt: skip
    heads: Annotated[
        tuple[int, ...] | None,
        Axis(
            column="heads", kind=int, part="options", alone=True, read=whole(0),
            help="heads of its attention over the neighbours, which divide the width; default 0,"
            " their mean",
        ),
    ] = None  # fmt: skip
    seed: Annotated[
        tuple[int, ...],
        Axis(
            column="seed", kind=int, repeats=True, alone=True, read=whole(0, 2**31 - 1),
            help="seeds of initial weights, batches and validation parts; default 0",
        ),
    ] = (0,)  # fmt: skip
    train_size: Annotated[
        tuple[int, ...] | None,
        Axis(
            column="train_size", kind=int, part="condition", repeats=True, alone=True,
            read=whole(0), metavar="N",
            help="numbers of training crystals: the first N of a seeded order of a fold's training"
            " part, 0 for all of it, which is the default; sizes never compete",
        ),
    ] = None  # fmt: skip
    leave_out: Annotated[
        tuple[str, ...] | None,
        Axis(
            column="leave_out", kind=str, part="condition", repeats=True, alone=True, read=left_out,
            metavar="ELEMENT",
            help="elements of which no training or validation crystal has one; tested are the"
            " crystals of the fold's test part that have: Ta, O+S together, a class as"
            f" alkali-metal; `elements` or `groups`, all with {LEAST} crystals or more in turn; or"
            f" {NONE}",
        ),
    ] = None  # fmt: skip
    shots: Annotated[
        tuple[int, ...] | None,
        Axis(
            column="shots", kind=int, part="condition", repeats=True, alone=True, read=whole(0),
            metavar="K",
            help="with --leave-out: so many crystals with the element are trained on all the same;"
            " default 0",
        ),
    ] = None  # fmt: skip
    inner_folds: int | None = Field(None, ge=2, le=MOST_INNER)  # None: a quarter validates
    strategy: str | None = None  # of a search; None for the whole grid
    budget: int | None = Field(None, ge=1)
    select_on: Literal["validation", "test"] = "validation"
    max_bad: float = Field(0.01, ge=0, le=1)
    max_atoms: int = Field(MAX_ATOMS, ge=1)
    without: str | None = None  # digest of the formulas withheld from all models
    groups: str | None = None  # digest of the groups, which stay together
    split: str | None = None  # digest of the folds given row by row

    @field_validator("strategy")
    @classmethod
    def _named_if_a_search(cls, strategy: str | None) -> str | None:
        return None if strategy == GRID else strategy

    @property
    def accepted_bad(self) -> float | None:
        """`max_bad` if it was given, else None: 1 %, or a few of a small data set."""
        return self.max_bad if "max_bad" in self.model_fields_set else None

    def conditions(self, found: Found) -> list[Condition]:
        """What the models of a data set may learn from: every combination of these axes.

        Args:
            found: what is held out of this data set in turn, for words as `elements`.
        """
        return combined(
            self.train_size or (WHOLE.train_size,),
            self.leave_out or (WHOLE.leave_out,),
            self.shots or (WHOLE.shots,),
            found,
        )

    def recipe_of(self, backbone: str) -> Recipe:
        """The recipe with this grid's patience, before the values of any axis."""
        recipe = BACKBONES[backbone].recipes[self.recipe]
        return recipe if self.patience is None else replace(recipe, patience=self.patience)


# Field of the configuration -> its axis.
AXES: Mapping[str, Axis] = MappingProxyType(
    {
        name: axis
        for name, field in GridConfig.model_fields.items()
        for axis in field.metadata
        if isinstance(axis, Axis)
    }
)


def strategy_names() -> tuple[str, ...]:
    """All strategies by name, of which those of other packages are not imported."""
    return tuple(dict.fromkeys([GRID, RANDOM, *sorted(entry_points(group=STRATEGIES).names)]))
