"""What a user asks of a grid: presets and flags become a configuration that makes sense."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from orchestrator.data.given_folds import Division
from orchestrator.grid.axes import Range
from orchestrator.grid.config import AXES, MIXINGS, GridConfig
from orchestrator.grid.handcrafted import Foreign
from orchestrator.interface.errors import UsageError
from orchestrator.nodes.worker import Worker
from trainables.crystals.registry import STRUCTURE_TASKS
from trainables.models.backbones import BACKBONES

PRESETS: dict[str, dict[str, Any]] = {
    # The reference grid: 8 tasks × 5 folds × 2 backbones × 4 dims × 7 mixings = 2 240 models.
    "paper": {"tasks": STRUCTURE_TASKS, "recipe": "paper", "mixing": MIXINGS},
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
        config = GridConfig(**{**PRESETS.get(preset or "", {}), **overrides})
    except ValidationError as error:
        raise UsageError(_in_words(error.errors()[0])) from None
    _demand_sense(config)
    return config


def _demand_sense(config: GridConfig) -> None:
    """Refuses values that no model would have, and a search without its budget."""
    for name, axis in AXES.items():
        values = getattr(config, name) or ()
        if values and not any(map(axis.fits, config.backbones)):
            backbones = ", ".join(config.backbones)
            raise UsageError(
                f"{_flag(name)}: no network of this grid has the option {axis.name!r} (--backbones"
                f" {backbones}); leave it out"
            )
        if config.strategy is None and values and isinstance(values[0], Range):
            raise UsageError(
                f"{_flag(name)}: {values[0]} is a range, for a search: list values, or add"
                " --strategy random --budget N"
            )
    decays = {BACKBONES[name].recipes[config.recipe].optimiser for name in config.backbones}
    if config.weight_decay and "adamw" not in decays:
        raise UsageError(
            f"--weight-decay: no network of this grid has one in the recipe {config.recipe!r};"
            " leave it out, or take another --recipe"
        )
    if config.shots and not any(config.leave_out or ()):
        raise UsageError(
            "--shots: they are crystals with an element that is held out; add --leave-out"
        )
    if config.strategy is None and config.budget is not None:
        raise UsageError("--budget: a grid has none; add --strategy random for a search")
    if config.strategy is not None and config.budget is None:
        raise UsageError(
            f"--strategy {config.strategy}: add --budget N, the number of configurations to train"
        )


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
    return f"{_flag(name)}: {text}"


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True, kw_only=True)
class Options:
    """The parsed command line."""

    config: GridConfig
    run: Path
    data_dir: Path | None
    follow_links: bool
    withheld: frozenset[str]  # reduced formulas
    division: Division | None  # replaces the official folds
    tables: Mapping[str, Foreign]  # the handcrafted ones that are not built in, by name
    address: str | None
    worker: Worker
    dry_run: bool
    plan_gpus: tuple[str, int] | None  # model of the GPUs, and how many
    extend: bool
    retry_failed: bool
