"""Errors over the folds: each configuration's mean and spread, and the one selected.

Configurations compete by their mean validation error over folds, seeds and inner folds; models
that differ in one of these never compete, nor do those that learned under different conditions.
"""

from __future__ import annotations

import pandas as pd

from analysis.selection import done

CONFIGURATION = ("task", "condition", "backbone", "dim", "mixing", "setting")
RIVALS = ("task", "condition", "backbone")  # within which all configurations compete
LINE = ("task", "condition", "backbone", "dim", "mixing")  # what figures tell apart


def summary(ledger: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over folds, seeds and inner folds of each configuration.

    Failed and diverged models are left out.

    Returns:
        task, condition, backbone, dim, mixing, setting, gamma, models, folds, test_error, test_std,
        val_error, val_std, dummy_error and, where the ledger has them, unit and metric, which says
        what an error is. Standard deviations are of the sample (n − 1), NaN for one model.

    Raises:
        ValueError: no model is left.
    """
    rows = done(ledger, "test_error")
    named = {
        "gamma": ("gamma", "first"),
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
    order = ["task", "condition", "backbone", "dim", "gamma", "setting"]
    return found.sort_values(order, kind="stable").reset_index(drop=True)


def best_by_validation(ledger: pd.DataFrame) -> pd.DataFrame:
    """Per (task, condition, backbone) the row of `summary` with the lowest mean validation error.

    Only configurations with as many models as the fullest of these compete, so
    that one lucky fold of an unfinished grid cannot win. Its `test_error` is therefore an honest
    estimate. Ties go to the smaller dim, then to the order H, -4, -2, 0, 2, 4, L.
    """
    return _lowest(summary(ledger), [*RIVALS])


def at_best_setting(ledger: pd.DataFrame) -> pd.DataFrame:
    """Per (task, condition, backbone, dim, mixing) the row of `summary` of the best setting."""
    return _lowest(summary(ledger), list(LINE))


def of_mixings(ledger: pd.DataFrame) -> pd.DataFrame:
    """Per (task, condition, backbone, mixing) the row of `summary` of the best dim and setting."""
    return _lowest(summary(ledger), [*RIVALS, "mixing"])


def by_value(ledger: pd.DataFrame, axis: str) -> pd.DataFrame:
    """Per (task, condition, backbone) and value of an axis, the best configuration with it.

    Args:
        axis: a column of the ledger, on which configurations differ.

    Returns:
        The rows of `summary`, with the axis, and `configurations`, how many have this value.
    """
    values = done(ledger, "test_error").groupby(list(CONFIGURATION))[axis].first()
    found = summary(ledger).join(values, on=list(CONFIGURATION)).dropna(subset=[axis])
    group = [*RIVALS, axis]
    number = found.groupby(group)["val_error"].size().rename("configurations")
    return _lowest(found, group).join(number, on=group)


def _lowest(found: pd.DataFrame, group: list[str]) -> pd.DataFrame:
    """Of each group the row with the lowest validation error, among those with the most models."""
    found = found.dropna(subset=["val_error"])
    rivals = found[found["models"] == found.groupby(group)["models"].transform("max")]
    ranked = rivals.sort_values([*group, "val_error", "dim", "gamma", "setting"], kind="stable")
    order = ["gamma" if name == "mixing" else name for name in group]
    best = ranked.drop_duplicates(group).sort_values(order, kind="stable")
    return best.reset_index(drop=True)


def picked_in_each_fold(ledger: pd.DataFrame) -> pd.DataFrame:
    """Per (task, condition, backbone) the scores of the models that each fold selects itself.

    It selects on its own validation part. This is nested selection, as a leaderboard requires: the
    model selected for a fold has seen nothing of that fold's test part, whereas a configuration
    selected on all validation parts has, through the other folds'. Each seed of a fold, and each
    inner fold, selects its own model. Columns: task, condition, backbone, folds, val_error,
    test_error, test_std (sample, NaN for one model). Ties go to the smaller dim, then to the order
    H, -4, -2, 0, 2, 4, L.
    """
    rows = done(ledger, "val_error")
    cell = [name for name in (*RIVALS, "fold", "seed", "inner_fold") if name in rows]
    ranked = rows.sort_values([*cell, "val_error", "dim", "gamma", "key"], kind="stable")
    grouped = ranked.drop_duplicates(cell).groupby([*RIVALS])
    return grouped.agg(
        folds=("fold", "nunique"),
        val_error=("val_error", "mean"),
        test_error=("test_error", "mean"),
        test_std=("test_error", "std"),
    ).reset_index()
