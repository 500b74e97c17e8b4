"""A model's key: what it depends on, and what it does not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from orchestrator.grid import cells as grid
from orchestrator.grid.cells import Cell, arrays, cells, keyed_cells
from orchestrator.grid.config import build_config
from trainables.models.backbones import BACKBONES
from trainables.models.recipe import Recipe

RECIPE = BACKBONES["cgcnn"].recipes["tuned"]
CELL = Cell(
    task="phonons", backbone="cgcnn", dim=16, mixing="-2", fold=1, seed=0,
    recipe=RECIPE, conv_width=None,
)  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": "megnet"},
        {"dim": 32},
        {"mixing": "2"},
        {"mixing": "H"},
        {"fold": 2},
        {"seed": 1},
        {"conv_width": 16},
        {"recipe": BACKBONES["cgcnn"].recipes["paper"]},
    ],
    ids=str,
)
def test_every_part_of_the_spec_is_in_the_key(change: dict[str, Any]) -> None:
    assert dataclasses.replace(CELL, **change).key("data") != CELL.key("data")


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Recipe)])
def test_every_part_of_the_recipe_is_in_the_key(name: str) -> None:
    values = {
        "name": "paper", "optimiser": "sgd", "loss": "mse", "schedule": "step",
        "milestones": (1, 2), "epochs": RECIPE.epochs + 1, "patience": 7, "batch_size": 3,
    }  # fmt: skip
    value = values.get(name, 0.123)
    assert getattr(RECIPE, name) != value
    changed = dataclasses.replace(RECIPE, **{name: value})
    assert dataclasses.replace(CELL, recipe=changed).key("data") != CELL.key("data")


def test_the_data_are_in_the_key() -> None:
    assert CELL.key("these crystals") != CELL.key("those crystals")


def test_the_training_code_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = CELL.key("data")
    monkeypatch.setattr(grid, "TRAINING_VERSION", grid.TRAINING_VERSION + 1)
    assert CELL.key("data") != before


def test_the_name_of_the_data_is_not_in_the_key() -> None:
    assert dataclasses.replace(CELL, task="elsewhere/phonons").key("data") == CELL.key("data")


def test_a_key_is_a_file_name_and_the_same_every_time() -> None:
    key = CELL.key("data")
    assert key == dataclasses.replace(CELL).key("data")
    assert len(key) == 24
    assert set(key) <= set("0123456789abcdef")


def test_keys_of_a_grid_are_distinct() -> None:
    config = build_config("paper", {})
    names = {(task, kind): f"{task} {kind}" for task in config.tasks for kind in config.backbones}
    keyed = keyed_cells(config, names)
    assert len({key for _, key in keyed}) == len(keyed) == 2240


def test_arrays_part_the_cells() -> None:
    """Every cell is in one array, with all that shares its task, fold, backbone and dimension."""
    config = build_config("paper", {})
    keyed = [(cell, f"key {index}") for index, cell in enumerate(cells(config))]
    grouped = arrays(keyed)
    assert len({array.id for array in grouped}) == len(grouped) == 320
    key_of = {(c.task, c.fold, c.backbone, c.dim, c.mixing): key for c, key in keyed}
    for array in grouped:
        spec = array.spec
        for mixing, key in spec.mixings.items():
            assert key_of.pop((array.task, spec.fold, spec.backbone, spec.dim, mixing)) == key
    assert not key_of


def test_an_array_of_what_is_missing_leaves_out_what_is_done() -> None:
    config = build_config("demo", {"folds": (0,), "dims": (8,), "backbones": ("cgcnn",)})
    keyed = [(cell, cell.mixing) for cell in cells(config)]
    (array,) = arrays(pair for pair in keyed if pair[1] != "0")
    assert array.spec.mixings == {"H": "H", "L": "L"}
