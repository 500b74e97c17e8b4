"""What is printed of an ensemble, data set by data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis import leaderboard
from analysis.figures.style import units_of
from analysis.metrics import name_errors
from orchestrator.ensemble.files import LEVEL
from orchestrator.ensemble.published import ENSEMBLE, told
from orchestrator.interface.format import significant


def say(
    task: str,
    rows: pd.DataFrame,
    facts: Sequence[Mapping[str, Any]],
    models: pd.DataFrame,
    beside: Sequence[Mapping[str, Any]],
) -> None:
    """Prints some lines on one data set.

    Args:
        rows: its predictions of the test parts.
        facts: of all folds.
        models: rows of the ledger.
        beside: differences from published entries, as of `published.compare_all`.
    """
    own = [fact for fact in facts if fact["task"] == task]
    ensemble = np.mean([fact["test_error"][fact["way"]] for fact in own])
    members = np.mean([fact["members"] for fact in own])
    error = name_errors(fact["metric"] for fact in own)
    print(
        f"{task}: test {error} {significant(ensemble)} with {members:.0f} of"
        f" {np.mean([fact['models'] for fact in own]):.0f} models a fold"
    )
    print(f"  {_rivals(own, models[models['task'] == task])}")
    if rows["std"].notna().all():
        unit = units_of(models).get(task)
        print(f"  {_intervals(rows, f' {unit}' if unit else '')}")
    for row in beside:
        if (row["task"], row["way"]) == (task, ENSEMBLE):
            print(f"  {told(row)}")


def _rivals(own: Sequence[Mapping[str, Any]], models: pd.DataFrame) -> str:
    """The errors of what was chosen without combining, in words."""
    nested = np.mean([fact["test_error"]["best"] for fact in own])
    best = leaderboard.best_by_validation(models).sort_values("val_error").iloc[0]
    alone = f"best configuration {significant(best['test_error'])}"
    name = f"{best['backbone']} d{best['dim']} {best['mixing']}"
    inner = max(fact["inner_folds"] for fact in own)
    if inner == 1:
        return f"best single model of each fold {significant(nested)}, {alone} ({name})"
    return (
        f"best of each fold, as the mean of its {inner} inner folds, {significant(nested)};"
        f" one model alone of the {alone} ({name})"
    )


def _intervals(rows: pd.DataFrame, unit: str) -> str:
    """What the intervals hold, and how wide they are, in words."""
    width = rows["ci_upper"] - rows["ci_lower"]
    inside = ((rows["target"] - rows["prediction"]).abs() <= width / 2).mean()
    return (
        f"{inside:.1%} of the targets lie within their {LEVEL:.0%} intervals, which are"
        f" {significant(width.mean())}{unit} wide on average (median {significant(width.median())})"
    )
