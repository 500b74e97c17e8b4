"""Strategies of the reader's own, run round by round on made-up errors. No Ray, no training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from orchestrator.grid import strategies
from orchestrator.grid.cells import Cell, Space
from orchestrator.grid.columns import NOTHING
from orchestrator.grid.config import GridConfig
from orchestrator.grid.request import build_config
from orchestrator.grid.strategies import Search, configurations, scored
from tests.extensions.halving import Halving
from tests.extensions.tpe import Tpe
from tests.orchestrator.small_data import ENERGY, with_rows
from trainables.training.specification import ModelSpec

ROOT = Path(__file__).resolve().parents[2]
BEST = 2e-3


def error(model: ModelSpec) -> float:
    """Lowest at one learning rate, and lower with more epochs."""
    return 1 + abs(math.log(model.recipe.lr / BEST)) + 1 / model.recipe.epochs


def config(strategy: str, budget: int) -> GridConfig:
    drawn = {"lr": ("1e-4..1e-1",), "dims": (4, 8), "mixing": ("0",), "backbones": ("cgcnn",)}
    return build_config("demo", {**drawn, "strategy": strategy, "budget": budget})


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, strategy in (("halving", Halving), ("tpe", Tpe)):
        monkeypatch.setitem(strategies.BUILT_IN, name, strategy)


def played(asked: GridConfig, rounds: int, *before: Cell) -> list[list[Cell]]:
    """The cells of each round, from the ledger of all before and nothing else."""
    known, found = list(before), []
    for _ in range(rounds):
        search = Search(Space(asked, {"ionic": ENERGY}, {}))
        found.append(search.propose(with_rows(known, error) if known else NOTHING))
        known += found[-1]
    return found


def test_halving_gives_the_best_more_epochs() -> None:
    first, second, third, last = played(config("halving", 20), 4)
    assert [len(cells) for cells in (first, second, third, last)] == [9 * 2, 3 * 2, 2, 0]
    assert [cells[0].spec.recipe.epochs for cells in (first, second, third)] == [1, 3, 9]
    lowest = min(cell.spec.recipe.lr for cell in first if error(cell.spec) == least(first))
    assert {cell.spec.recipe.lr for cell in third} == {lowest}


def least(cells: list[Cell]) -> float:
    return min(error(cell.spec) for cell in cells)


def test_a_budget_cuts_the_rounds() -> None:
    sizes = [len(cells) // 2 for cells in played(config("halving", 10), 4)]
    assert sizes == [9, 1, 0, 0]


def test_tpe_comes_nearer_and_is_the_same_after_a_break() -> None:
    rounds = played(config("tpe", 40), 11)
    assert [len(cells) for cells in rounds] == [8] * 10 + [0]
    assert least(rounds[-2]) < least(rounds[0])
    again = played(config("tpe", 40), 11)
    assert again == rounds
    before = [cell for cells in rounds[:5] for cell in cells]
    assert played(config("tpe", 40), 1, *before) == rounds[5:6]
    everything = [cell for cells in rounds for cell in cells]
    assert len(configurations(with_rows(everything, error))) == 40


def test_contributing_shows_one_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text().split("## Write a strategy")[1]
    names: dict[str, Any] = {
        "Space": Space, "Cell": Cell, "Sequence": Sequence, "pd": pd, "scored": scored,
    }  # fmt: skip
    exec(guide.split("```python\n")[1].split("```")[0], names)  # noqa: S102  # the guide's own text
    monkeypatch.setitem(strategies.BUILT_IN, "greedy", names["Greedy"])
    rounds = played(config("greedy", 9), 6)
    assert [len(cells) for cells in rounds[:3]] == [8, 4, 2]
    assert sum(map(len, rounds)) <= 9 * 2 and not rounds[-1]
    assert least(rounds[1]) < least(rounds[0])
