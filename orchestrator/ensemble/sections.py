"""The report's sections on the ensemble of a grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import leaderboard
from analysis.figures.ensemble import calibration, parity_with_spread
from analysis.figures.style import units_of
from analysis.metrics import name_errors
from orchestrator.ensemble.files import LEVEL, RESULTS, FinishedEnsemble
from orchestrator.ensemble.published import ENSEMBLE, interval
from orchestrator.interface.format import significant, with_deviation
from orchestrator.report.part import MakePart, Part, Values, belongs, filled
from orchestrator.runs.finished_run import FinishedRun

WAYS = {
    "best": "best single model",
    "mean": "mean of all",
    "greedy": "greedy selection",
    "fitted": "fitted weights",
}


@dataclass(frozen=True)
class Combined:
    """A run and its ensemble."""

    run: FinishedRun
    ensemble: FinishedEnsemble


def errors(combined: Combined) -> Values:
    """What is gained by combining the models of a fold."""
    folds, units = combined.ensemble.folds, units_of(combined.run.done)
    rivals, asked = combined.run.principal.ledger, combined.ensemble.facts.get("backbones")
    if asked:
        rivals = rivals[rivals["backbone"].isin(asked)]
    configurations = leaderboard.best_by_validation(rivals).sort_values("val_error")
    best = configurations.drop_duplicates("task").set_index("task")["test_error"]
    rows = []
    for task, part in folds.groupby("task", sort=False):
        known = combined.run.matbench_task(str(task))
        rows.append(
            {
                "data set": task,
                "error": name_errors(part["metric"]),
                "unit": units.get(str(task), "") or "–",
                "folds": str(len(part)),
                "models a fold": f"{part['models'].mean():.0f}",
                "members": f"{part['members'].mean():.0f}",
                "ensemble": with_deviation(part["test"].mean(), part["test"].std()),
                **{
                    name: significant(part[f"test_{way}"].mean()) if f"test_{way}" in part else "–"
                    for way, name in WAYS.items()
                },
                "best configuration": significant(best.get(str(task), float("nan"))),
                "leaderboard's best †": significant(known.best) if known and known.best else "–",
            }
        )
    written = (combined.ensemble.folder / RESULTS).is_file()
    return {
        "scores": pd.DataFrame(rows),
        "submission": RESULTS if written else None,
        "backbones": asked,
        "inner": combined.ensemble.inner_folds,
    }


def parity(combined: Combined) -> Values | None:
    """Predicted against true values, with the calibrated spread; not of classes."""
    predicted, units = _with_spread(combined), units_of(combined.run.done)
    return {"drawn": parity_with_spread(predicted, units)} if len(predicted) else None


def kept(combined: Combined) -> Values | None:
    """Coverage of the intervals on the test parts."""
    predicted = _with_spread(combined)
    if predicted.empty:
        return None
    width = predicted["ci_upper"] - predicted["ci_lower"]
    inside = (predicted["target"] - predicted["prediction"]).abs() <= width / 2
    units = units_of(combined.run.done)
    rows = [
        {
            "data set": task,
            "unit": units.get(str(task), "") or "–",
            f"inside {LEVEL:.0%} intervals": f"{inside[part.index].mean():.1%}",
            "mean width": significant(width[part.index].mean()),
            "median width": significant(width[part.index].median()),
        }
        for task, part in predicted.groupby("task", sort=False)
    ]
    return {
        "drawn": calibration(combined.ensemble.coverage, predicted),
        "widths": pd.DataFrame(rows),
    }


def beside(combined: Combined) -> Values | None:
    """Differences from published entries, over the official folds."""
    found, names = combined.ensemble.published, {ENSEMBLE: "ensemble"} | WAYS
    if found.empty:
        return None
    rows = [
        {
            "data set": row["task"],
            "published entry": row["entry"],
            "its score": significant(row["published"]),
            "ours": names[row["way"]],
            "our score": significant(row["score"]),
            "difference": significant(row["difference"]),
            "95 % interval": interval(row),
            "p": "–" if row["p"] is None else f"{row['p']:.2g}",
        }
        for row in found.replace({np.nan: None}).to_dict("records")
    ]
    return {"differences": pd.DataFrame(rows)}


def _with_spread(combined: Combined) -> pd.DataFrame:
    predicted = combined.ensemble.predicted
    return predicted[predicted["std"].notna()]


ENSEMBLE_SECTIONS: tuple[tuple[str, Callable[[Combined], Values | None]], ...] = (
    ("Ensemble", errors),
    ("Ensemble: published entries", beside),
    ("Ensemble: predictions", parity),
    ("Ensemble: calibration", kept),
)


def part(run: FinishedRun) -> MakePart | None:
    """The function that makes the ensemble's part of the report; None if there is no ensemble."""
    found = FinishedEnsemble(run.folder)
    if not found.exists:
        return None
    run.demand_files()
    return lambda: _part(run, found)


def _part(run: FinishedRun, found: FinishedEnsemble) -> Part:
    if not belongs(found, run.digest):
        return Part([])
    return Part(filled(found.job, ENSEMBLE_SECTIONS, Combined(run, found)))
