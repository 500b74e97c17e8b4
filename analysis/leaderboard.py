"""Errors over the folds: each configuration's mean and spread, and the one selected."""

from __future__ import annotations

import pandas as pd

from analysis.selection import done, order_of

CONFIGURATION = ("task", "backbone", "dim", "mixing")


def summary(ledger: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over folds (and seeds) per (task, backbone, dim, mixing).

    Failed and diverged models are left out.

    Returns:
        task, backbone, dim, mixing, models, folds, test_error, test_std, val_error, val_std,
        dummy_error and, where the ledger has them, unit and metric, which says what an error is.
        Standard deviations are of the sample (n − 1), NaN for one model.

    Raises:
        ValueError: no model is left.
    """
    rows = done(ledger, "test_error")
    named = {
        "models": ("key", "count"),
        "folds": ("fold", "nunique"),
        "test_error": ("test_error", "mean"),
        "test_std": ("test_error", "std"),
        "val_error": ("val_error", "mean"),
        "val_std": ("val_error", "std"),
        "dummy_error": ("dummy_error", "mean"),
    }
    named |= {name: (name, "first") for name in ("unit", "metric") if name in rows.columns}
    found = rows.groupby(list(CONFIGURATION), sort=False).agg(**named).reset_index()
    order = found["mixing"].map(order_of)
    return (
        found.assign(order=order)
        .sort_values(["task", "backbone", "dim", "order"], kind="stable")
        .drop(columns="order")
        .reset_index(drop=True)
    )


def best_by_validation(ledger: pd.DataFrame) -> pd.DataFrame:
    """Per (task, backbone) the row of `summary` with the lowest mean validation error.

    Only configurations with as many folds as the fullest of their (task, backbone) compete, so
    that one lucky fold of an unfinished grid cannot win. Its `test_error` is therefore an honest
    estimate. Ties go to the smaller dim, then to the order H, -4, -2, 0, 2, 4, L.
    """
    found = summary(ledger).dropna(subset=["val_error"])
    fullest = found.groupby(["task", "backbone"])["folds"].transform("max")
    rivals = found[found["folds"] == fullest]
    order = rivals["mixing"].map(order_of)
    ranked = rivals.assign(order=order).sort_values(
        ["task", "backbone", "val_error", "dim", "order"], kind="stable"
    )
    return ranked.drop_duplicates(["task", "backbone"]).drop(columns="order").reset_index(drop=True)


def picked_in_each_fold(ledger: pd.DataFrame) -> pd.DataFrame:
    """Per (task, backbone) the scores when each fold selects its model on its own validation part.

    This is nested selection, as a leaderboard requires: the model selected for a fold has seen
    nothing of that fold's test part, whereas a configuration selected on all validation parts has,
    through the other folds'. Columns: task, backbone, folds, val_error, test_error, test_std
    (sample, NaN for one fold). Ties go to the smaller dim, then to the order H, -4, -2, 0, 2, 4, L.
    """
    rows = done(ledger, "val_error")
    cell = ["task", "backbone", "fold"]
    order = rows["mixing"].map(order_of)
    ranked = rows.assign(order=order).sort_values(
        [*cell, "val_error", "dim", "order", "key"], kind="stable"
    )
    grouped = ranked.drop_duplicates(cell).groupby(["task", "backbone"])
    return grouped.agg(
        folds=("fold", "nunique"),
        val_error=("val_error", "mean"),
        test_error=("test_error", "mean"),
        test_std=("test_error", "std"),
    ).reset_index()
