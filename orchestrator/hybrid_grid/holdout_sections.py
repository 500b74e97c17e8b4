"""The report's section on elements that were held out of training."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from analysis.figures.holdout import error_map, shots_curve
from analysis.figures.style import label_mixing, name_backbone
from analysis.holdout import by_element, models_held_out, over_elements
from analysis.leaderboard import CONFIGURATION
from analysis.metrics import name_errors
from analysis.paired import Paired
from orchestrator.grid.conditions import name_of
from orchestrator.interface.format import significant
from orchestrator.report.part import Values
from orchestrator.runs.finished_run import FinishedRun

KNOWN = "known_error"
SAME = [name for name in CONFIGURATION if name != "condition"] + [
    "fold",
    "seed",
    "inner_folds",
    "inner_fold",
]


def held_out(run: FinishedRun) -> Values | None:
    """Errors on elements that no training crystal has, or only a few."""
    models = models_held_out(run.ledger)
    if models.empty:
        return None
    models = _with_known(run, models)
    error = name_errors(models["metric"])
    found, curves = by_element(models), over_elements(models)
    return {
        "sets": models["leave_out"].nunique(),
        "summary": _summary(curves),
        "curve": shots_curve(curves) if curves["shots"].nunique() > 1 else None,
        "maps": _maps(found[found["shots"] == found["shots"].min()]),
        "known": found[KNOWN].notna().any(),
        "each": _each(found, error),
    }


def _with_known(run: FinishedRun, models: pd.DataFrame) -> pd.DataFrame:
    """Adds the error on the same crystals of the same model without anything held out.

    NaN where the run has none, and for other targets than numbers.
    """
    scalars = run.scalars
    whole = scalars.loc[scalars["condition"] == "", [*SAME, "key"]]
    pairs = models[[*SAME, "key"]].merge(whole, on=SAME, suffixes=("", "_known"))
    if pairs.empty:
        return models.assign(**{KNOWN: np.nan})
    tested = run.test_predictions([*pairs["key"], *pairs["key_known"].unique()])
    tested = tested.assign(off=(tested["prediction"] - tested["target"]).abs())
    of = {str(key): rows.set_index("id")["off"] for key, rows in tested.groupby("key")}
    known = {
        row.key: float(of[row.key_known].reindex(of[row.key].index).mean())
        for row in pairs.itertuples()
    }
    return models.assign(**{KNOWN: models["key"].map(known).astype(float)})


def _summary(curves: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "data set": curves["task"],
            "backbone": curves["backbone"],
            "shots": curves["shots"],
            "mixing": curves["mixing"].map(label_mixing),
            "held out": curves["sets"],
            "error / trivial": [
                _between(row.share, row.low, row.high) for row in curves.itertuples()
            ],
            "− that of H": [_beside(one) for one in curves["difference"]],
            "lower than H": [
                "–" if pd.isna(row.lower) else f"{row.lower:.0f} of {row.sets}"
                for row in curves.itertuples()
            ],
        }
    )


def _maps(found: pd.DataFrame) -> list[Values]:
    """One for each data set, backbone and mixing, all in the same colours."""
    limits = float(found["share"].min()), float(found["share"].max())
    maps: list[Values] = []
    ordered = found.sort_values(["task", "backbone", "gamma", "mixing"], kind="stable")
    group = ["task", "backbone", "mixing"]  # not gamma, which is NaN of some mixings
    for (task, backbone, mixing), own in ordered.groupby(group, sort=False):
        title = f"{task}, {name_backbone(backbone)}, γ = {label_mixing(mixing)}"
        shares = dict(zip(own["leave_out"], own["share"], strict=True))
        maps.append({"title": title, "open": not maps, "drawn": error_map(shares, title, limits)})
    return maps


def _each(found: pd.DataFrame, error: str) -> pd.DataFrame:
    known = {"element known": found[KNOWN].map(_number)} if found[KNOWN].notna().any() else {}
    return pd.DataFrame(
        {
            "data set": found["task"],
            "backbone": found["backbone"],
            "held out": found["leave_out"].map(name_of),
            "shots": found["shots"],
            "crystals": found["crystals"],
            "mixing": found["mixing"].map(label_mixing),
            f"test {error}": found["test_error"].map(significant),
            "− that of H": [_beside(one) for one in found["difference"]],
            "trivial": found["dummy_error"].map(significant),
            **known,
            "models": found["models"],
        }
    )


def _number(value: float) -> str:
    return "–" if math.isnan(value) else significant(value)


def _between(mean: float, low: float, high: float) -> str:
    ends = f" ({low:.3g} to {high:.3g})" if math.isfinite(high) else ""
    return f"{mean:.3g}{ends}".replace("-", "−")


def _beside(difference: Paired | None) -> str:
    if difference is None:
        return "–"
    return _between(difference.mean, difference.low, difference.high)
