"""Scores of configurations on the test part, beside their error."""

from __future__ import annotations

import json
from collections.abc import Callable

import pandas as pd

from analysis import leaderboard
from analysis.metrics import metrics_of
from orchestrator.interface.format import as_share, significant
from orchestrator.runs.finished_run import FinishedRun

FROBENIUS = "frobenius"  # the metric of tensors
OF_PROPERTY = "mae "  # begins the name of the MAE of one of several columns, in its unit


def _scores_in(text: object) -> dict[str, float]:
    """The scores of a ledger's cell; none of a model of an earlier version."""
    found: dict[str, float] = json.loads(text) if isinstance(text, str) else {}
    return found


def shown_scores(run: FinishedRun) -> dict[str, tuple[str, Callable[[float], str]]]:
    """By title, the column of a score on the test part, and its format."""
    metrics = set(metrics_of(run.done).values())
    found: dict[str, tuple[str, Callable[[float], str]]] = {}
    if len(run.scalars):
        found |= {"RMSE": ("test_rmse", significant), "R²": ("test_r2", as_share)}
    if "1-roc_auc" in metrics:
        found |= {
            "ROC-AUC": ("roc_auc", as_share),
            "balanced accuracy": ("balanced_accuracy", as_share),
            "F1": ("f1", as_share),
        }
    if FROBENIUS in metrics:
        found |= {
            "median Frobenius error": ("median_frobenius", significant),
            "within 25 %": ("within_25", as_share),
        }
    names = {name: None for text in run.done["scores"] for name in _scores_in(text)}
    each = [name for name in names if name.startswith(OF_PROPERTY)]
    found |= {f"MAE of {name.removeprefix(OF_PROPERTY)}": (name, significant) for name in each}
    return found | ({"unstable": ("unstable", significant)} if "unstable" in names else {})


def mean_scores(run: FinishedRun) -> pd.DataFrame:
    """Scores of each configuration, averaged over its models as its error is."""
    recorded = pd.DataFrame(
        [{"key": key} | _scores_in(text) for key, text in run.done[["key", "scores"]].values],
    ).set_index("key")
    scored = run.done.set_index("key").join(run.test_scores).join(recorded)
    columns = [column for column, _ in shown_scores(run).values()]
    return scored.groupby(list(leaderboard.CONFIGURATION))[columns].mean()
