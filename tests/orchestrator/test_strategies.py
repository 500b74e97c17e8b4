"""Strategies: what they propose, and that it is the same after a break. No Ray."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.grid import strategies
from orchestrator.grid.arrays import arrays
from orchestrator.grid.cells import Cell, Space
from orchestrator.grid.columns import NOTHING
from orchestrator.grid.config import GridConfig
from orchestrator.grid.request import build_config
from orchestrator.grid.strategies import Search, configurations
from orchestrator.interface.errors import UsageError
from tests.orchestrator.small_data import ENERGY, cells_of, with_rows
from tests.packages_for_tests import install


def search(config: GridConfig) -> Search:
    return Search(Space(config, dict.fromkeys(config.tasks, ENERGY), {}))


def random(budget: int, **changes: object) -> GridConfig:
    drawn = {"lr": ("1e-4..1e-2",), "dims": ("8..64",), "mixing": ("H", "0", "L")}
    return build_config("demo", {**drawn, "strategy": "random", "budget": budget, **changes})


def points(cells: Sequence[Cell]) -> list[tuple[object, ...]]:
    """The distinct configurations, in order."""
    specs = [cell.spec for cell in cells]
    found = [(one.backbone, one.dim, one.mixing, one.recipe, one.options) for one in specs]
    return list(dict.fromkeys(found))


def test_the_grid_is_one_round_of_all_cells() -> None:
    config = build_config("demo", {})
    everything = search(config)
    proposed = everything.propose(NOTHING)
    assert [cell.key for cell in proposed] == [
        cell.key for cell in Space(config, {"ionic": ENERGY}, {}).cells(
            *Space(config, {"ionic": ENERGY}, {}).points()
        )
    ]  # fmt: skip
    assert len(proposed) == len(cells_of(config)) == 24
    assert everything.propose(with_rows(proposed)) == []


def test_random_draws_configurations_with_all_their_folds() -> None:
    proposed = search(random(7, seed=(0, 1))).propose(NOTHING)
    assert len(points(proposed)) == 7 and len(proposed) == 7 * 2 * 2
    dims = {cell.spec.dim for cell in proposed}
    assert len(dims) > 3 and min(dims) >= 8 and max(dims) <= 64
    assert all(1e-4 <= cell.spec.recipe.lr <= 1e-2 for cell in proposed)
    assert len({array.id for array in arrays(proposed)}) == len(arrays(proposed))


def test_the_same_command_draws_the_same_and_a_larger_budget_goes_on() -> None:
    few, many = (search(random(budget)).propose(NOTHING) for budget in (4, 9))
    assert few == search(random(4)).propose(NOTHING)
    assert points(many)[:4] == points(few) and len(points(many)) == 9
    assert points(search(random(4, seed=7)).propose(NOTHING)) != points(few)


def test_a_search_ends_with_its_budget() -> None:
    config = random(4)
    proposed = search(config).propose(NOTHING)
    told = with_rows(proposed)
    assert len(configurations(told)) == 4
    assert search(config).propose(told) == []
    more = search(random(6)).propose(told)
    assert len(points(more)) == 2 and not {cell.key for cell in more} & set(told["key"])


def test_another_axis_draws_the_others_as_before() -> None:
    one = points(search(random(5)).propose(NOTHING))
    two = points(search(random(5, batch_size=(16, 64))).propose(NOTHING))
    assert [point[:3] for point in one] == [point[:3] for point in two]


def test_a_space_that_is_used_up_ends_a_search() -> None:
    config = random(99, lr=None, dims=(8, 16), backbones=("cgcnn", "megnet"), layers=(2, 4))
    proposed = search(config).propose(NOTHING)
    # 2 dimensions × 3 mixings, of CGCNN with 2 numbers of layers, of MEGNet with its own
    assert len(points(proposed)) == 2 * 3 * (2 + 1)
    assert search(config).propose(with_rows(proposed)) == []


# --------------------------------------------------------------------------------- other packages


class Twice:
    """Trains the first configuration again and again, which nothing but the loop would end."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def propose(self, told: pd.DataFrame, room: int) -> Sequence[Cell]:
        return self._space.cells(next(self._space.points()))


class Doubled(Twice):
    """Names the grid's own number of epochs in a second point for one model."""

    def propose(self, told: pd.DataFrame, room: int) -> Sequence[Cell]:
        point = next(self._space.points())
        return self._space.cells(point, point | {"max_epochs": 20})


def test_one_model_by_two_points_is_trained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(strategies.BUILT_IN, "doubled", Doubled)
    proposed = search(build_config("demo", {"strategy": "doubled", "budget": 5})).propose(NOTHING)
    assert len(proposed) == len({cell.key for cell in proposed}) == 2
    assert {cell.label for cell in proposed} == {""}


class Curious(Twice):
    """Looks for errors on the test part."""

    def propose(self, told: pd.DataFrame, room: int) -> Sequence[Cell]:
        assert "val_mae" in told and "lr" in told
        assert not {"test_mae", "test_error", "dummy_error", "scores"} & set(told)
        return super().propose(told, room)


def test_no_strategy_sees_errors_on_test_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(strategies.BUILT_IN, "curious", Curious)
    curious = search(build_config("demo", {"strategy": "curious", "budget": 5}))
    told = with_rows(curious.propose(NOTHING))
    assert {"test_mae", "test_error", "dummy_error", "scores"} <= set(told) and curious.propose(
        told
    ) == []


class Wrong(Twice):
    """Names an axis by its flag."""

    def propose(self, told: pd.DataFrame, room: int) -> Sequence[Cell]:
        return self._space.cells({"dims": 8})


def test_a_strategy_that_fails_ends_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategies, "strategy_of", lambda name: Wrong)
    wrong = search(build_config("demo", {"strategy": "wrong", "budget": 5}))
    with pytest.raises(
        UsageError, match=r"^--strategy wrong failed \(ValueError: 'dims' is no axis"
    ):
        wrong.propose(NOTHING)


def test_the_grid_by_its_name_is_the_grid() -> None:
    assert build_config("demo", {"strategy": "grid"}) == build_config("demo", {})


def test_what_is_proposed_again_ends_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(strategies.BUILT_IN, "twice", Twice)
    twice = search(build_config("demo", {"strategy": "twice", "budget": 5}))
    first = twice.propose(NOTHING)
    assert len(first) == 2 and twice.propose(with_rows(first)) == []


def test_a_strategy_of_another_package_is_found_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {"halving": "tests.extensions.halving:Halving", "broken": "tests.no_such:Thing"}
    install(tmp_path, "strangers", group="elemgrid.strategies", **entries)
    monkeypatch.syspath_prepend(tmp_path)
    assert "halving" in strategies.strategy_names()
    assert strategies.strategy_of("halving").__name__ == "Halving"
    with pytest.raises(UsageError, match=r"^--strategy broken: cannot be imported \(tests.no_such"):
        strategies.strategy_of("broken")
    with pytest.raises(UsageError, match=r"^--strategy none: no package has it; there are grid, r"):
        strategies.strategy_of("none")
    install(tmp_path, "others", group="elemgrid.strategies", halving="tests.tiny_backbone:Tiny")
    with pytest.raises(UsageError, match="two packages have it; uninstall one"):
        strategies.strategy_of("halving")


def test_a_search_ends_when_a_range_has_no_further_number() -> None:
    """Floats are drawn with three digits."""
    narrow = random(30, lr=("1e-3..1.02e-3",), dims=("8",), mixing=("0",), backbones=("cgcnn",))
    proposed = search(narrow).propose(NOTHING)
    assert {cell.spec.recipe.lr for cell in proposed} == {0.001, 0.00101, 0.00102}


def test_an_error_of_0_is_the_best_and_the_others_stay_in_order() -> None:
    config = build_config("demo", {"dims": (8, 16, 32), "mixing": ("0",), "backbones": ("cgcnn",)})
    space = Space(config, dict.fromkeys(config.tasks, ENERGY), {})
    errors = {8: 0.2, 16: 0.0, 32: 0.4}
    told = with_rows(space.cells(*space.points()), lambda model: errors[model.dim])
    found = strategies.scored(space, told)
    assert [point["dim"] for point, _ in found] == [16, 8, 32]
    assert all(np.isfinite(error) for _, error in found)
