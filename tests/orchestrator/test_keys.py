"""The cells of a grid, their keys, and their arrays."""

from __future__ import annotations

import dataclasses

import pytest

from orchestrator.grid import cells as grid
from orchestrator.grid.arrays import arrays
from orchestrator.grid.cells import cells
from orchestrator.grid.config import GridConfig
from orchestrator.grid.request import build_config
from tests.orchestrator.small_data import ENERGY, cells_of
from trainables.targets.base import Target
from trainables.training.specification import ModelSpec


def the_model(**changes: object) -> ModelSpec:
    """The only one of a grid."""
    one = {"folds": (1,), "dims": (16,), "backbones": ("cgcnn",), "mixing": ("-2",)}
    (cell,) = cells_of(build_config("demo", {**one, **changes}))
    return cell.spec


def test_the_training_code_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = the_model().key
    monkeypatch.setattr(grid, "TRAINING_VERSION", grid.TRAINING_VERSION + 1)
    assert the_model().key != before


def test_the_name_of_the_data_is_not_in_the_key() -> None:
    config = build_config("demo", {"folds": (0,)})
    found = [
        [cell.key for cell in cells(named, {task: ENERGY}, dict.fromkeys(pairs(named), "salts"))]
        for task in ("ionic", "elsewhere/ionic")
        for named in [config.model_copy(update={"tasks": (task,)})]
    ]
    assert found[0] == found[1]


def pairs(config: GridConfig) -> list[tuple[str, str]]:
    return [(task, backbone) for task in config.tasks for backbone in config.backbones]


def test_data_that_are_not_featurised_have_keys_of_their_own() -> None:
    config = build_config("paper", {"folds": (0,), "tasks": ("mp_gap", "jdft2d")})
    unknown = cells(config, dict.fromkeys(config.tasks, ENERGY), {})
    known = cells_of(config)
    assert len({cell.key for cell in (*unknown, *known)}) == 4 * len(unknown) // 2


def test_a_specification_is_of_the_grid_as_it_was_asked_for() -> None:
    model = the_model(epochs=7, patience=3, seed=5, conv_width=24)
    assert (model.recipe.epochs, model.recipe.patience) == (7, 3)
    assert (model.fold, model.dim, model.mixing, model.seed) == (1, 16, "-2", 5)
    assert vars(model.options) == {"conv_width": 24, "layers": 3, "pooled": 128}
    assert model.representation.name == "nn12-r8" and model.target == ENERGY


def test_convolutions_as_wide_as_the_embedding_are_the_usual_ones() -> None:
    assert the_model(conv_width=16) == the_model()
    assert the_model(conv_width=17).key != the_model().key


def test_keys_of_a_grid_are_distinct() -> None:
    found = cells_of(build_config("paper", {}))
    assert len({cell.key for cell in found}) == len(found) == 2240


def test_arrays_part_the_cells() -> None:
    """Every cell is in one array, with all that shares its task, fold, backbone and dimension."""
    found = cells_of(build_config("paper", {}))
    grouped = arrays(found)
    assert len({array.id for array in grouped}) == len(grouped) == 320
    cell_of = {cell.key: cell for cell in found}
    for array in grouped:
        assert array.keys == array.spec.mixings
        for mixing, key in array.keys.items():
            cell = cell_of.pop(key)
            assert (cell.task, cell.spec.mixing) == (array.task, mixing)
            row = array.row(mixing)
            for name in ("fold", "backbone", "dim", "seed"):
                shared = getattr(cell.spec, name)
                assert row[name] == getattr(array.spec, name) == shared
            assert ModelSpec.read(row["spec"]) == cell.spec
    assert not cell_of


def test_an_array_of_what_is_missing_leaves_out_what_is_done() -> None:
    found = cells_of(build_config("demo", {"folds": (0,), "dims": (8,), "backbones": ("cgcnn",)}))
    (array,) = arrays(cell for cell in found if cell.spec.mixing != "0")
    assert list(array.keys) == ["H", "L"]
    assert list(array.only(["L"]).keys.values()) == [array.keys["L"]]


def test_what_is_learned_is_in_the_key() -> None:
    model = the_model()
    other = dataclasses.replace(model, target=Target(name="energy", unit="Ry"))
    assert other.key != model.key
