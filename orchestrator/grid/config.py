"""What is asked of a grid: its configuration, validated once and immutable, and how it runs."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from orchestrator.data.given_folds import Division
from orchestrator.interface.errors import UsageError
from orchestrator.nodes.worker import Worker
from trainables.crystals.checks import MAX_ATOMS
from trainables.crystals.registry import FOLDS, STRUCTURE_TASKS
from trainables.models.backbones import BACKBONES
from trainables.models.recipe import Recipe, RecipeName

# The column of the ledger by which `select_on` compares mixings.
SELECTED_BY = {"validation": "val_error", "test": "test_error"}
MIXINGS = ("H", "-4", "-2", "0", "2", "4", "L")


class GridConfig(BaseModel):
    """The cells of a grid and their training.

    Defaults are those of the thesis (chapters 3.2 and 4.1) except for the recipe.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks: tuple[str, ...] = Field(min_length=1)
    backbones: tuple[str, ...] = Field(("cgcnn", "megnet"), min_length=1)
    dims: tuple[int, ...] = Field((8, 16, 32, 64), min_length=1)
    mixing: tuple[str, ...] = Field(MIXINGS, min_length=1)
    folds: tuple[int, ...] = Field(tuple(range(FOLDS)), min_length=1)
    recipe: RecipeName = "tuned"
    epochs: int | None = Field(None, ge=1)
    patience: int | None = Field(None, ge=1)
    conv_width: int | None = Field(None, ge=1)
    seed: int = Field(0, ge=0, lt=2**31)
    select_on: Literal["validation", "test"] = "validation"
    max_bad: float = Field(0.01, ge=0, le=1)
    max_atoms: int = Field(MAX_ATOMS, ge=1)
    without: str | None = None  # digest of the formulas withheld from all models
    groups: str | None = None  # digest of the groups, which stay together
    split: str | None = None  # digest of the folds given row by row

    @field_validator("tasks", "backbones", "dims", "mixing", "folds")
    @classmethod
    def _no_repeats(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        repeated = {value for value in values if values.count(value) > 1}
        if repeated:
            raise ValueError(f"given twice: {', '.join(map(str, sorted(repeated)))}")
        return values

    @field_validator("backbones")
    @classmethod
    def _known_backbones(cls, backbones: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [name for name in backbones if name not in BACKBONES]
        if wrong:
            known = " or ".join(map(repr, BACKBONES))
            raise ValueError(f"{wrong[0]!r} is wrong, it must be {known}")
        for name in backbones:
            BACKBONES[name]  # imported now, so that what is wrong with a package is said at once
        return backbones

    @field_validator("dims")
    @classmethod
    def _sensible_dims(cls, dims: tuple[int, ...]) -> tuple[int, ...]:
        wrong = [dim for dim in dims if not 1 <= dim <= 4096]
        if wrong:
            raise ValueError(f"{wrong[0]} is wrong, a dimension lies between 1 and 4096")
        return dims

    @field_validator("folds")
    @classmethod
    def _five_folds(cls, folds: tuple[int, ...]) -> tuple[int, ...]:
        wrong = [fold for fold in folds if not 0 <= fold < FOLDS]
        if wrong:
            raise ValueError(f"{wrong[0]} is wrong, the official folds are 0 to {FOLDS - 1}")
        return folds

    @field_validator("mixing", mode="before")
    @classmethod
    def _labels(cls, values: Any) -> tuple[str, ...]:
        if not isinstance(values, list | tuple):
            raise ValueError(f"{values!r} is wrong, it must be a list")
        return tuple(mixing_label(value) for value in values)

    @property
    def accepted_bad(self) -> float | None:
        """`max_bad` if it was given, else None: 1 %, or a few of a small data set."""
        return self.max_bad if "max_bad" in self.model_fields_set else None

    def recipe_of(self, backbone: str) -> Recipe:
        """The recipe with this grid's epochs and patience."""
        changes: dict[str, Any] = {
            name: value
            for name, value in (("epochs", self.epochs), ("patience", self.patience))
            if value is not None
        }
        return dataclasses.replace(BACKBONES[backbone].recipes[self.recipe], **changes)


def mixing_label(value: object) -> str:
    """`H`, `L`, or γ = log10(w_L/w_H) with the fewest digits.

    Raises:
        ValueError: neither H, L nor a finite number.
    """
    text = str(value).strip()
    if text.upper() in ("H", "L"):
        return text.upper()
    try:
        gamma = float(text)
    except ValueError:
        raise ValueError(f"mixing {text!r} is neither H, L nor a number") from None
    if not abs(gamma) <= 30:
        raise ValueError(f"mixing {text!r}: γ lies between -30 and 30; the ends are H and L")
    return f"{gamma + 0.0:g}"


PRESETS: dict[str, dict[str, Any]] = {
    # The reference grid: 8 tasks × 5 folds × 2 backbones × 4 dims × 7 mixings = 2 240 models.
    "paper": {"tasks": STRUCTURE_TASKS, "recipe": "paper"},
    # A complete grid that a laptop finishes in minutes, on the embedded computed data set.
    "demo": {
        "tasks": ("ionic",),
        "dims": (8, 16),
        "mixing": ("H", "0", "L"),
        "folds": (0, 1),
        "epochs": 20,
    },
}


def build_config(preset: str | None, overrides: dict[str, Any]) -> GridConfig:
    """A preset with the given fields replaced.

    Raises:
        UsageError: one line that names the field, what is wrong and what is allowed.
    """
    if preset is None and "tasks" not in overrides:
        raise UsageError("name the data to train on: --tasks NAME|PATH[:TARGET] …, or a --preset")
    try:
        return GridConfig(**{**PRESETS.get(preset or "", {}), **overrides})
    except ValidationError as error:
        raise UsageError(_in_words(error.errors()[0])) from None


def _in_words(error: ErrorDetails) -> str:
    """Pydantic's error in words, with the given value and a suggestion."""
    name = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        close = difflib.get_close_matches(name, GridConfig.model_fields, n=1)
        known = ", ".join(GridConfig.model_fields)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {known}"
        return f"{name!r} is no setting of a grid; {hint}"
    text = error["msg"].removeprefix("Value error, ")
    if error["type"] == "too_short":
        text = "is empty; give one value at least, or leave it out for the default"
    text = text.replace("Input should be", f"{error['input']!r} is wrong, it must be")
    return f"--{name.replace('_', '-')}: {text}"


@dataclass(frozen=True, kw_only=True)
class Options:
    """The parsed command line."""

    config: GridConfig
    run: Path
    data_dir: Path | None
    follow_links: bool
    withheld: frozenset[str]  # reduced formulas
    division: Division | None  # replaces the official folds
    address: str | None
    worker: Worker
    dry_run: bool
    plan_gpus: tuple[str, int] | None  # model of the GPUs, and how many
    extend: bool
    retry_failed: bool
