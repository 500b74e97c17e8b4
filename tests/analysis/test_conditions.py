"""Models that learned under different conditions never compete."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.conditions import principal
from analysis.figures.training_size import LEAST_OF_BAND, TRIVIAL, training_sizes
from analysis.leaderboard import best_by_validation, picked_in_each_fold, summary
from analysis.selection import best_of_cells, strategies
from analysis.training_size import error_by_size

Make = Callable[..., pd.DataFrame]
SIZES = {50: 2.0, 100: 1.5, 0: 1.0}


def under(ledger: pd.DataFrame, size: int, factor: float) -> pd.DataFrame:
    """The models as they are with another training part, with errors that are so much higher."""
    rows = ledger.assign(
        train_size=size,
        condition=f"train size {size}" if size else "",
        n_train=size or 400,
        key=ledger["key"] + f"-{size}",
    )
    rows[["val_error", "test_error"]] *= factor
    return rows


@pytest.fixture
def ledger(make_ledger: Make) -> pd.DataFrame:
    one = make_ledger(tasks=["phonons"], dims=[16, 64], mixings=["H", "0", "L"])
    return pd.concat([under(one, size, factor) for size, factor in SIZES.items()])


def test_the_easier_condition_wins_nothing(ledger: pd.DataFrame) -> None:
    whole = ledger[ledger["condition"] == ""]
    best = best_by_validation(ledger)
    assert len(best) == 2 * len(SIZES)
    for condition, own in ledger.groupby("condition"):
        pd.testing.assert_frame_equal(
            best[best["condition"] == condition].reset_index(drop=True), best_by_validation(own)
        )
    assert len(picked_in_each_fold(ledger)) == 2 * len(SIZES)
    assert len(best_of_cells(ledger)) == 3 * len(best_of_cells(whole))
    assert len(summary(ledger)) == 3 * len(summary(whole))


def test_tables_are_of_models_that_learned_from_whole_folds(ledger: pd.DataFrame) -> None:
    easier = ledger.assign(val_error=ledger["val_error"] / (1 + 9 * (ledger["train_size"] == 50)))
    assert strategies(easier) == strategies(ledger[ledger["condition"] == ""])


def test_the_principal_condition_is_none_or_that_of_most_crystals(ledger: pd.DataFrame) -> None:
    assert set(principal(ledger)["condition"]) == {""}
    cut = ledger[ledger["train_size"] > 0]
    assert set(principal(cut)["condition"]) == {"train size 100"}
    failed = ledger.assign(status=np.where(ledger["train_size"] == 0, "failed", "done"))
    assert set(principal(failed)["condition"]) == {"train size 100"}
    other = cut[cut["train_size"] == 50].assign(task="other")
    both = principal(pd.concat([ledger, other]))
    assert {*zip(both["task"], both["condition"], strict=True)} == {
        ("phonons", ""), ("other", "train size 50")
    }  # fmt: skip
    plain = ledger.drop(columns=["condition", "n_train"])
    assert principal(plain) is plain


def test_a_point_is_the_mean_with_students_interval(ledger: pd.DataFrame) -> None:
    found = error_by_size(ledger)
    assert len(found) == 2 * 3 * 3
    assert found["crystals"].drop_duplicates().tolist() == [50, 100, 400]
    row = found[
        (found["backbone"] == "cgcnn") & (found["mixing"] == "0") & (found["crystals"] == 100)
    ].iloc[0]
    own = ledger[
        (ledger["backbone"] == "cgcnn")
        & (ledger["mixing"] == "0")
        & (ledger["train_size"] == 100)
        & (ledger["dim"] == 64)  # the best
    ]["test_error"]
    assert row["dim"] == 64 and row["models"] == len(own) == 3
    low, high = stats.t.interval(0.95, 2, own.mean(), stats.sem(own))
    assert (row["low"], row["high"]) == pytest.approx((low, high))


def test_the_figure_has_a_line_a_mixing_and_the_trivial_error(ledger: pd.DataFrame) -> None:
    found = error_by_size(ledger)
    figure = training_sizes(found)
    lines = [trace for trace in figure.data if trace.mode == "lines+markers"]
    assert [trace.name for trace in lines] == ["H", "0", "L"] * 2
    assert all(list(trace.x) == [50, 100, 400] for trace in lines)
    assert [trace.showlegend for trace in lines] == [True] * 3 + [False] * 3
    trivial = [trace for trace in figure.data if trace.name == TRIVIAL]
    assert len(trivial) == 2 and set(trivial[0].y) == {300}
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert len(bands) == 6
    assert min(min(band.y) for band in bands) >= LEAST_OF_BAND * found["test_error"].min()
    assert {axis.type for axis in figure.select_xaxes()} == {"log"}
    assert {axis.type for axis in figure.select_yaxes()} == {"log"}


def test_one_model_a_point_has_no_band(ledger: pd.DataFrame) -> None:
    figure = training_sizes(error_by_size(ledger[ledger["fold"] == 0]))
    assert not [trace for trace in figure.data if trace.fill == "toself"]
