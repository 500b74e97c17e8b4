"""Means over folds, and the configuration that validation picks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from analysis.leaderboard import (
    at_best_setting,
    best_by_validation,
    by_value,
    picked_in_each_fold,
    summary,
)

Make = Callable[..., pd.DataFrame]


def test_summary_is_the_mean_and_deviation_over_folds(make_ledger: Make) -> None:
    ledger = make_ledger()
    found = summary(ledger)
    assert len(found) == 2 * 2 * 2 * 7
    one = found[
        (found["task"] == "phonons")
        & (found["backbone"] == "cgcnn")
        & (found["dim"] == 16)
        & (found["mixing"] == "H")
    ].iloc[0]
    rows = ledger[ledger["key"].str.startswith("phonons-cgcnn-16-H-")]
    assert one["models"] == one["folds"] == 3
    assert one["test_error"] == pytest.approx(rows["test_error"].mean())
    assert one["test_std"] == pytest.approx(np.std(rows["test_error"], ddof=1))
    assert one["val_error"] == pytest.approx(rows["val_error"].mean())
    assert one["dummy_error"] == 300
    assert one["unit"] == "cm⁻¹"


def test_mixings_are_in_order_of_gamma(make_ledger: Make) -> None:
    found = summary(make_ledger(tasks=["phonons"], backbones=["cgcnn"], dims=[16]))
    assert found["mixing"].tolist() == ["H", "-4", "-2", "0", "2", "4", "L"]


def test_single_fold_has_no_deviation(make_ledger: Make) -> None:
    found = summary(make_ledger(folds=1))
    assert found["test_std"].isna().all()
    assert found["test_error"].notna().all()


def test_failed_model_is_left_out(make_ledger: Make, fail: Make) -> None:
    ledger = fail(make_ledger(), "phonons-cgcnn-16-H-0", "diverged")
    found = summary(ledger).set_index(["task", "backbone", "dim", "mixing"])
    assert found.loc[("phonons", "cgcnn", 16, "H"), "models"] == 2
    assert found.loc[("phonons", "cgcnn", 16, "-4"), "models"] == 3


def test_validation_picks_even_where_test_is_lower(make_ledger: Make) -> None:
    ledger = make_ledger(tasks=["phonons"], backbones=["cgcnn"])
    ledger.loc[ledger["mixing"] == "L", "test_error"] = 0.0
    picked = best_by_validation(ledger)
    assert len(picked) == 1
    assert (picked["mixing"][0], picked["dim"][0]) == ("-2", 64)
    assert picked["test_error"][0] > 0


def test_lucky_single_fold_cannot_win(make_ledger: Make, fail: Make) -> None:
    ledger = make_ledger(tasks=["phonons"], backbones=["cgcnn"], dims=[16])
    for fold in (1, 2):
        ledger = fail(ledger, f"phonons-cgcnn-16-L-{fold}")
    ledger.loc[ledger["key"] == "phonons-cgcnn-16-L-0", "val_error"] = 0.0
    assert best_by_validation(ledger)["mixing"].tolist() == ["-2"]


def test_one_row_per_task_and_backbone(make_ledger: Make) -> None:
    picked = best_by_validation(make_ledger())
    assert list(zip(picked["task"], picked["backbone"], strict=True)) == [
        ("dielectric", "cgcnn"),
        ("dielectric", "megnet"),
        ("phonons", "cgcnn"),
        ("phonons", "megnet"),
    ]


def test_nothing_finished_is_refused(make_ledger: Make) -> None:
    with pytest.raises(ValueError, match="no finished model"):
        summary(make_ledger(folds=1).assign(status="failed"))


def test_each_fold_picks_on_its_own_validation_part() -> None:
    rows = [
        ("a", 16, "H", 0, 1.0, 10.0),
        ("b", 16, "L", 0, 2.0, 1.0),
        ("c", 16, "H", 1, 4.0, 1.0),
        ("d", 64, "L", 1, 3.0, 20.0),
        ("e", 16, "L", 1, 3.0, 30.0),  # the same error from a smaller model
    ]
    names = ["key", "dim", "mixing", "fold", "val_error", "test_error"]
    ledger = pd.DataFrame(rows, columns=names).assign(
        task="t",
        condition="",
        backbone="cgcnn",
        status="done",
        seed=0,
        gamma=lambda rows: rows["mixing"].map({"H": -np.inf, "L": np.inf}),
    )
    (found,) = picked_in_each_fold(ledger).to_dict("records")
    assert found["folds"] == 2
    assert found["val_error"] == pytest.approx((1 + 3) / 2)
    assert found["test_error"] == pytest.approx((10 + 30) / 2)
    assert found["test_std"] == pytest.approx(np.std([10, 30], ddof=1))
    worse = ledger.assign(test_error=99.0)
    assert picked_in_each_fold(worse)["val_error"].tolist() == [found["val_error"]]


# ------------------------------------------------------------------------------ settings and seeds


def test_settings_are_configurations_of_their_own(make_ledger: Make) -> None:
    ledger = make_ledger(tasks=["phonons"], backbones=["cgcnn"], dims=[16])
    fast = ledger.assign(setting="lr 0.1", lr=0.1, key="fast-" + ledger["key"])
    fast["val_error"] *= np.where(ledger["mixing"] == "4", 0.1, 2.0)
    fast["test_error"] *= 10
    both = pd.concat([ledger.assign(setting="lr 0.01", lr=0.01), fast])
    assert len(summary(both)) == 14 and summary(both)["models"].eq(3).all()
    (best,) = best_by_validation(both).to_dict("records")
    assert (best["mixing"], best["setting"]) == ("4", "lr 0.1")
    line = at_best_setting(both)
    assert line["mixing"].tolist() == ["H", "-4", "-2", "0", "2", "4", "L"]
    assert line["setting"].tolist() == ["lr 0.01"] * 5 + ["lr 0.1", "lr 0.01"]
    values = by_value(both, "lr")
    assert values["lr"].tolist() == [0.01, 0.1] and values["mixing"].tolist() == ["-2", "4"]
    assert values["configurations"].tolist() == [7, 7]


def test_seeds_are_averaged_and_never_chosen(make_ledger: Make) -> None:
    ledger = make_ledger(tasks=["phonons"], backbones=["cgcnn"], dims=[16])
    lucky = ledger.assign(seed=8, key="lucky-" + ledger["key"])
    lucky["val_error"] *= 0.5
    lucky["test_error"] *= 0.1
    both = pd.concat([ledger, lucky])
    (best,) = best_by_validation(both).to_dict("records")
    assert (best["models"], best["folds"]) == (6, 3)
    chosen = both[both["mixing"] == best["mixing"]]
    assert best["test_error"] == pytest.approx(chosen["test_error"].mean())
    (nested,) = picked_in_each_fold(both).to_dict("records")
    assert nested["test_error"] == pytest.approx(chosen["test_error"].mean())


def test_a_configuration_without_one_seed_cannot_win(make_ledger: Make, fail: Make) -> None:
    ledger = make_ledger(tasks=["phonons"], backbones=["cgcnn"], dims=[16])
    both = pd.concat([ledger, ledger.assign(seed=8, key="other-" + ledger["key"])])
    broken = fail(both, "other-phonons-cgcnn-16--2-0", "diverged")
    assert best_by_validation(broken)["mixing"].tolist() != ["-2"]
