"""Errors on elements held out: means, differences on the same folds, maps and curves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.figures.holdout import error_map, shots_curve
from analysis.figures.periodic import periodic_table
from analysis.holdout import by_element, models_held_out, over_elements
from analysis.paired import paired

Make = Callable[..., pd.DataFrame]
FACTORS = {"Na": 1.0, "O": 4.0, "K+Rb": 2.0}
MIXINGS = {"H": 1.0, "0": 1.5, "L": 2.5}


@pytest.fixture
def ledger(make_ledger: Make) -> pd.DataFrame:
    """Errors of an element are so many times those with nothing held out, and fall with shots."""
    one = make_ledger(
        tasks=["phonons"], backbones=["cgcnn"], dims=[16, 64], mixings=list(MIXINGS)
    ).assign(train_size=0, leave_out="", shots=0, n_train=400, n_test=100)
    frames = [one]
    for name, factor in FACTORS.items():
        for shots in (0, 3):
            rows = one.assign(leave_out=name, shots=shots, n_test=10, n_train=300)
            rows["condition"] = f"without {name}" + (f", shots {shots}" if shots else "")
            worse = factor * one["mixing"].map(MIXINGS) / (1 + shots)
            random = np.random.default_rng(shots).normal(1, 0.05, len(one))
            rows["test_error"] = 50 * worse * random
            rows["key"] += rows["condition"]
            frames.append(rows)
    return pd.concat(frames, ignore_index=True)


def test_each_mixing_has_its_best_dimension_under_each_condition(ledger: pd.DataFrame) -> None:
    models = models_held_out(ledger)
    assert len(models) == 3 * 2 * 3 * 3 and set(models["dim"]) == {64}
    assert (models["share"] == models["test_error"] / 300).all()
    assert models_held_out(ledger[ledger["leave_out"] == ""]).empty
    small = ledger[ledger["leave_out"] != ""].assign(train_size=20, test_error=0.0)
    assert (models_held_out(pd.concat([ledger, small]))["train_size"] == 0).all()
    assert set(models_held_out(small)["train_size"]) == {20}


def test_a_difference_is_of_the_same_folds(ledger: pd.DataFrame) -> None:
    models = models_held_out(ledger)
    found = by_element(models).set_index(["leave_out", "shots", "mixing"])
    assert len(found) == 3 * 2 * 3
    own = models[(models["leave_out"] == "O") & (models["shots"] == 3)].set_index("fold")
    one, other = (own[own["mixing"] == name]["test_error"] for name in ("L", "H"))
    row = found.loc[("O", 3, "L")]
    # ten crystals are tested, but folds share training crystals as in any five-fold validation
    assert row["difference"] == paired((one - other).sort_index().to_numpy(), 1 / 4)
    assert row["difference"].low > 0
    assert row["test_error"] == pytest.approx(one.mean()) and row["crystals"] == 30
    assert found.loc[("O", 3, "H"), "difference"] is None
    without = by_element(models[models["mixing"] != "H"])
    assert without["difference"].isna().all()


def test_seeds_of_a_fold_are_one_pair(ledger: pd.DataFrame) -> None:
    models = models_held_out(ledger)
    again = models.assign(seed=models["seed"] + 1, key=models["key"] + "-1")
    one, two = (by_element(found)["difference"] for found in (models, pd.concat([models, again])))
    assert one.dropna().tolist() == two.dropna().tolist()


def test_inner_folds_count_as_one(ledger: pd.DataFrame) -> None:
    """They are tested on the same crystals, so more of them make no interval narrower."""
    models = models_held_out(ledger)
    twice = pd.concat([models, models.assign(key=models["key"] + "-1")])
    one, two = (by_element(found)["difference"].tolist() for found in (models, twice))
    assert one == two
    assert by_element(twice)["crystals"].equals(by_element(models)["crystals"])


def test_the_mean_is_over_what_is_held_out(ledger: pd.DataFrame) -> None:
    models = models_held_out(ledger)
    found = over_elements(models).set_index(["shots", "mixing"])
    own = models[(models["mixing"] == "L") & (models["shots"] == 0)]
    means = own.groupby("leave_out")["share"].mean()
    row = found.loc[(0, "L")]
    low, high = stats.t.interval(0.95, 2, means.mean(), stats.sem(means))
    assert (row["share"], row["low"], row["high"]) == pytest.approx((means.mean(), low, high))
    assert row["sets"] == 3 and row["lower"] == 0 and row["difference"].pairs == 3
    better = found.loc[(0, "H")]
    assert better["difference"] is None and better["share"] < row["share"]


def test_mixings_without_a_number_count_and_stand_last(ledger: pd.DataFrame) -> None:
    models = models_held_out(ledger)
    renamed = models.replace({"mixing": {"0": "auto"}})
    renamed.loc[renamed["mixing"] == "auto", "gamma"] = np.nan
    assert by_element(renamed)["mixing"].tolist() == ["H", "L", "auto"] * 6
    found, numbered = (over_elements(one) for one in (renamed, models))
    assert found["mixing"].tolist() == ["H", "L", "auto"] * 2
    own = ["shots", "share", "low", "high", "sets", "lower", "difference"]
    one = found.loc[found["mixing"] == "auto", own].reset_index(drop=True)
    assert one.equals(numbered.loc[numbered["mixing"] == "0", own].reset_index(drop=True))
    assert np.isnan(found["gamma"].iloc[-1])
    curve = shots_curve(found)
    assert [line.name for line in curve.data if line.mode == "lines+markers"] == ["H", "L", "auto"]


def test_a_curve_is_of_what_has_all_shots(ledger: pd.DataFrame) -> None:
    models = models_held_out(ledger)
    part = models[(models["shots"] == 0) | (models["leave_out"] != "O")]
    assert set(over_elements(part)["sets"]) == {2}
    single = over_elements(models[models["leave_out"] == "O"])
    assert set(single["sets"]) == {1} and np.isfinite(single["high"]).all(), "over folds"


def test_the_figures(ledger: pd.DataFrame) -> None:
    curves = over_elements(models_held_out(ledger))
    figure = shots_curve(curves)
    lines = [trace for trace in figure.data if trace.mode == "lines+markers"]
    assert [trace.name for trace in lines] == ["H", "0", "L"]
    assert all(list(trace.x) == ["0", "3"] for trace in lines)
    assert len([trace for trace in figure.data if trace.fill == "toself"]) == 3
    drawn = error_map({"Na": 0.5, "Na+K": 0.9}, "x", (0.1, 2.0))
    shown = {text.split(" ")[0]: text for row in drawn.data[1].customdata for text in row if text}
    assert "0.5 of trivial" in shown["Na"] and "0.9 of trivial" in shown["K"], "its own error first"
    assert drawn.data[1].zmax == 2.0 and periodic_table({1: 3.0, 2: 5.0}).data[1].zmax == 5.0
