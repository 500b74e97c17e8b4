"""Do models with vectors of some shape predict better? (thesis fig. 3.9)"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

LEAST_MODELS = 3
STRATEGIES = {"H": "handcrafted", "L": "learned"}
MIXED = "mixed"


def strategy_of(mixing: str) -> str:
    """Whether a mixing is handcrafted, learned or mixed."""
    return STRATEGIES.get(mixing, MIXED)


def correlate(models: pd.DataFrame, indicators: Sequence[str]) -> pd.DataFrame:
    """Pearson's and Spearman's correlation of each indicator with the error, averaged over tasks.

    Eqs 2.3 and 2.4 of the thesis.

    Args:
        models: a row a model: task, backbone, mixing, error, and the indicators.

    Returns:
        backbone, strategy, indicator, pearson, spearman, tasks and models (that were counted). Of a
        task where an indicator or the error is constant, or with fewer than three models, there is
        no correlation, and it is left out.
    """
    rows = []
    grouped = models.assign(strategy=models["mixing"].map(strategy_of))
    for (backbone, strategy), part in grouped.groupby(["backbone", "strategy"], sort=True):
        for indicator in indicators:
            found = [
                _pair(one[indicator], one["error"]) for _, one in part.groupby("task", sort=True)
            ]
            known = [pair for pair in found if pair is not None]
            if not known:
                continue
            count = len(known)
            rows.append(
                {
                    "backbone": backbone,
                    "strategy": strategy,
                    "indicator": indicator,
                    "pearson": sum(pair[0] for pair in known) / count,
                    "spearman": sum(pair[1] for pair in known) / count,
                    "tasks": count,
                    "models": sum(pair[2] for pair in known),
                }
            )
    columns = ["backbone", "strategy", "indicator", "pearson", "spearman", "tasks", "models"]
    return pd.DataFrame(rows, columns=columns)


def _pair(indicator: pd.Series, error: pd.Series) -> tuple[float, float, int] | None:
    usable = indicator.notna() & error.notna()
    x, y = indicator[usable].astype(float), error[usable].astype(float)
    if len(x) < LEAST_MODELS or _constant(x) or _constant(y):
        return None
    return float(x.corr(y)), float(x.corr(y, method="spearman")), len(x)


def _constant(values: pd.Series) -> bool:
    return bool(values.max() - values.min() <= 1e-12 * max(1.0, abs(values.max())))
