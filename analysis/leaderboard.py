"""Errors over the folds: each configuration's mean and spread, and the one selected."""

from __future__ import annotations

import pandas as pd

from analysis.selection import done, order_of

CONFIGURATION = ("task", "backbone", "dim", "mixing")


def summary(ledger: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over folds (and seeds) per (task, backbone, dim, mixing).

    Failed and diverged models are left out.

    Returns:
        task, backbone, dim, mixing, models, folds, test_mae, test_std, val_mae, val_std, dummy_mae
        and, where the ledger has it, unit. Standard deviations are of the sample (n − 1), NaN for
        one model.

    Raises:
        ValueError: no model is left.
    """
    rows = done(ledger, "test_mae")
    named = {
        "models": ("key", "count"),
        "folds": ("fold", "nunique"),
        "test_mae": ("test_mae", "mean"),
        "test_std": ("test_mae", "std"),
        "val_mae": ("val_mae", "mean"),
        "val_std": ("val_mae", "std"),
        "dummy_mae": ("dummy_mae", "mean"),
    }
    if "unit" in rows.columns:
        named["unit"] = ("unit", "first")
    found = rows.groupby(list(CONFIGURATION), sort=False).agg(**named).reset_index()
    order = found["mixing"].map(order_of)
    return (
        found.assign(order=order)
        .sort_values(["task", "backbone", "dim", "order"], kind="stable")
        .drop(columns="order")
        .reset_index(drop=True)
    )


def best_by_validation(ledger: pd.DataFrame) -> pd.DataFrame:
    """Per (task, backbone) the row of `summary` with the lowest mean validation MAE.

    Only configurations with as many folds as the fullest of their (task, backbone) compete, so
    that one lucky fold of an unfinished grid cannot win. Its `test_mae` is therefore an honest
    estimate. Ties go to the smaller dim, then to the order H, -4, -2, 0, 2, 4, L.
    """
    found = summary(ledger).dropna(subset=["val_mae"])
    fullest = found.groupby(["task", "backbone"])["folds"].transform("max")
    rivals = found[found["folds"] == fullest]
    order = rivals["mixing"].map(order_of)
    ranked = rivals.assign(order=order).sort_values(
        ["task", "backbone", "val_mae", "dim", "order"], kind="stable"
    )
    return ranked.drop_duplicates(["task", "backbone"]).drop(columns="order").reset_index(drop=True)


def picked_in_each_fold(ledger: pd.DataFrame) -> pd.DataFrame:
    """Per (task, backbone) the scores when each fold selects its model on its own validation part.

    This is nested selection, as a leaderboard requires: the model selected for a fold has seen
    nothing of that fold's test part, whereas a configuration selected on all validation parts has,
    through the other folds'. Columns: task, backbone, folds, val_mae, test_mae, test_std (sample,
    NaN for one fold). Ties go to the smaller dim, then to the order H, -4, -2, 0, 2, 4, L.
    """
    rows = done(ledger, "val_mae")
    cell = ["task", "backbone", "fold"]
    order = rows["mixing"].map(order_of)
    ranked = rows.assign(order=order).sort_values(
        [*cell, "val_mae", "dim", "order", "key"], kind="stable"
    )
    grouped = ranked.drop_duplicates(cell).groupby(["task", "backbone"])
    return grouped.agg(
        folds=("fold", "nunique"),
        val_mae=("val_mae", "mean"),
        test_mae=("test_mae", "mean"),
        test_std=("test_mae", "std"),
    ).reset_index()
