"""Selection of the best models of each cell and the three strategies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from analysis.selection import best_of_cells, leaks, strategies

Make = Callable[..., pd.DataFrame]


def test_each_cell_has_one_winner_and_it_is_the_lowest(make_ledger: Make) -> None:
    ledger = make_ledger()
    won = best_of_cells(ledger)
    cell = ["task", "fold", "backbone", "dim"]
    assert len(won) == 2 * 3 * 2 * 2
    assert not won.duplicated(cell).any()
    lowest = ledger.groupby(cell)["val_error"].min()
    assert won.set_index(cell)["val_error"].sort_index().equals(lowest.sort_index())
    assert set(won.loc[won["backbone"] == "cgcnn", "mixing"]) == {"-2"}
    assert set(won.loc[won["backbone"] == "megnet", "mixing"]) == {"0"}


def test_validation_and_test_can_choose_differently(make_ledger: Make) -> None:
    ledger = make_ledger(tasks=["phonons"], backbones=["cgcnn"], dims=[16], folds=1)
    ledger.loc[ledger["mixing"] == "L", "test_error"] = 0.0
    assert best_of_cells(ledger)["mixing"].tolist() == ["-2"]
    assert best_of_cells(ledger, on="test_error")["mixing"].tolist() == ["L"]
    assert leaks("test_error")
    assert not leaks("val_error")


def test_failed_model_cannot_win(make_ledger: Make, fail: Make) -> None:
    ledger = make_ledger(tasks=["phonons"], backbones=["cgcnn"], dims=[16], folds=1)
    broken = fail(ledger, "phonons-cgcnn-16--2-0")
    assert best_of_cells(broken)["mixing"].isin(["-4", "0"]).all()
    # a stale metric of a failed model counts as little as a missing one
    broken.loc[broken["mixing"] == "-2", "val_error"] = 0.0
    assert best_of_cells(broken)["mixing"].isin(["-4", "0"]).all()


def test_seeds_are_cells_of_their_own(make_ledger: Make) -> None:
    first = make_ledger(tasks=["phonons"], backbones=["cgcnn"], dims=[16], folds=1)
    second = first.assign(seed=8, key="other-" + first["key"])
    assert len(best_of_cells(pd.concat([first, second]))) == 2
    assert len(best_of_cells(first.drop(columns="seed"))) == 1


@pytest.mark.parametrize("shuffle", [0, 1, 2])
def test_ties_go_to_the_handcrafted_end_whatever_the_order_of_rows(
    make_ledger: Make, shuffle: int
) -> None:
    ledger = make_ledger(tasks=["phonons"], backbones=["cgcnn"], dims=[16], folds=1)
    tied = ledger.assign(val_error=np.where(ledger["mixing"].isin(["L", "4", "-4"]), 1.0, 2.0))
    mixed = tied.sample(frac=1, random_state=shuffle)
    assert best_of_cells(mixed)["mixing"].tolist() == ["-4"]


def test_strategies_are_sorted_keys_of_winners_and_pure_mixings(make_ledger: Make) -> None:
    ledger = make_ledger(folds=1).sample(frac=1, random_state=3)
    found = strategies(ledger)
    assert found["S"] == sorted(best_of_cells(ledger)["key"])
    assert found["H"] == sorted(k for k in ledger["key"] if "-H-" in k)
    assert found["L"] == sorted(k for k in ledger["key"] if "-L-" in k)
    assert [len(found[name]) for name in "SHL"] == [8, 8, 8]


def test_strategy_without_models_is_empty(make_ledger: Make) -> None:
    assert strategies(make_ledger(mixings=["H", "0"]))["L"] == []


def test_ledger_without_a_finished_model_is_refused_in_one_line(make_ledger: Make) -> None:
    ledger = make_ledger(folds=1).assign(status="failed")
    with pytest.raises(ValueError, match="no finished model with a val_error") as error:
        strategies(ledger)
    assert "56 failed" in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="no finished model"):
        best_of_cells(ledger.iloc[:0])


def test_unknown_column_is_refused(make_ledger: Make) -> None:
    with pytest.raises(ValueError, match="no column 'rmse'"):
        best_of_cells(make_ledger(), on="rmse")


def with_rates(ledger: pd.DataFrame) -> pd.DataFrame:
    """Each model twice: at a second rate it is worse, but for mixing 4, where it is the best."""
    slow = ledger.assign(setting="lr 0.1", key="slow-" + ledger["key"])
    slow["val_error"] *= np.where(slow["mixing"] == "4", 0.1, 3.0)
    return pd.concat([ledger.assign(setting="lr 0.01"), slow])


def test_the_settings_of_a_cell_compete(make_ledger: Make) -> None:
    ledger = make_ledger(tasks=["phonons"], backbones=["cgcnn"], dims=[16])
    won = best_of_cells(with_rates(ledger))
    assert len(won) == 3
    assert set(won["mixing"]) == {"4"} and set(won["setting"]) == {"lr 0.1"}
    found = strategies(with_rates(ledger))
    assert [len(found[name]) for name in "SHL"] == [3, 3, 3]
    assert found["H"] == strategies(ledger)["H"], "the better rate of each cell"
