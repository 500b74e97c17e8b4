"""The errors by which models are compared: lower is better, whatever the kind of target."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

ABSOLUTE = "mae"  # in the unit of the target
NAMES = {
    ABSOLUTE: "MAE",
    "mae_standardised": "standardised MAE",
    "1-roc_auc": "1 − ROC-AUC",
    "frobenius": "Frobenius error",
}


def metrics_of(ledger: pd.DataFrame) -> dict[str, str]:
    """Metric of the errors of each task; MAEs where a ledger does not say."""
    tasks = ledger["task"].unique()
    if "metric" not in ledger.columns:
        return dict.fromkeys(tasks, ABSOLUTE)
    first = ledger.groupby("task", sort=False)["metric"].first()
    return {str(task): str(metric) for task, metric in first.items()}


def name_errors(metrics: Iterable[str]) -> str:
    """Name of some errors: that of their metric, or just "error" if they have several."""
    found = set(metrics)
    (only,) = found if len(found) == 1 else ("",)
    return NAMES.get(only, "error")
