"""The report's sections on training: curves, convergence and cost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from analysis import leaderboard
from analysis.convergence import endings, late_gain
from analysis.figures.curves import learning_curves
from orchestrator.interface.format import duration, significant
from orchestrator.report.part import Values
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.ledger import ways_of_computing
from orchestrator.runs.records import Records
from trainables.models.recipe import Recipe
from trainables.training.specification import ModelSpec

# Improvement in the last tenth of the epochs, relative to the lowest validation error.
STILL_IMPROVING = 0.01


def _recipes(run: FinishedRun) -> list[Recipe]:
    """Of each done model."""
    return [ModelSpec.read(text).recipe for text in run.done["spec"]]


def _endings(run: FinishedRun) -> pd.DataFrame:
    return endings(run.done, [recipe.epochs for recipe in _recipes(run)])


def how_they_ended(run: FinishedRun, summary: pd.DataFrame) -> list[str]:
    """For each row of `leaderboard.summary`, how many models stopped early and how many did not."""
    counts = (
        run.done.assign(at_limit=_endings(run)["at_limit"])
        .groupby(list(leaderboard.CONFIGURATION))["at_limit"]
        .agg(["sum", "count"])
    )
    found = summary.join(counts, on=list(leaderboard.CONFIGURATION))
    return [
        ", ".join(
            text
            for number, text in (
                (row.count - row.sum, f"early: {row.count - row.sum}"),
                (row.sum, f"at the limit: {row.sum}"),
            )
            if number
        )
        for row in found[["sum", "count"]].astype(int).itertuples()
    ]


def curves(run: FinishedRun) -> Values | None:
    """Validation curves of the selected configurations' first models, all mixings.

    None where all errors are 0, of which the logarithmic axis shows none.
    """
    records = Records(run.folder / "records")
    frames = []
    for best in run.best.itertuples():
        same = run.done[
            (run.done["task"] == best.task)
            & (run.done["backbone"] == best.backbone)
            & (run.done["dim"] == best.dim)
            & (run.done["setting"] == best.setting)
        ]
        repeat = ["fold", "seed", "inner_fold"]
        first = same[(same[repeat] == same[repeat].min()).all(axis=1)]
        for model in first.itertuples():
            values = records.arrays(model.key)["curve/val_mae"]
            names = ("key", "task", "backbone", "mixing", "gamma", "dim", "fold", "unit", "metric")
            about = {name: getattr(model, name) for name in names}
            epochs = np.arange(1, len(values) + 1)
            frames.append(pd.DataFrame({**about, "epoch": epochs, "val_error": values}))
    drawn = pd.concat(frames, ignore_index=True)
    if not (drawn["val_error"] > 0).any():
        return None
    gains = [late_gain(curve.to_numpy()) for _, curve in drawn.groupby("key")["val_error"]]
    return {
        "shown": len(frames),
        "done": len(run.done),
        "inner": bool(run.done["inner_folds"].any()),
        "mixings": run.done["mixing"].nunique(),
        "ended": _converged(run, gains),
        "drawn": learning_curves(drawn),
    }


def _converged(run: FinishedRun, gains: Sequence[float]) -> Values:
    """States in numbers whether the models had converged.

    Args:
        gains: of the drawn models, the improvement in the last tenth of their epochs.
    """
    found, recipes = _endings(run), _recipes(run)
    models, limit, late = len(found), int(found["at_limit"].sum()), int(found["late"].sum())
    finite = [gain for gain in gains if np.isfinite(gain)]
    gain = float(np.median(finite)) if finite else 0.0
    return {
        "early": models - limit,
        "at_limit": limit,
        "late": late,
        "gain": gain,
        "patience": _range(recipe.patience for recipe in recipes),
        "epochs": _range(recipe.epochs for recipe in recipes),
        "all_epochs": all(recipe.patience >= recipe.epochs for recipe in recipes),
        "still_improving": late > models / 2 and gain > STILL_IMPROVING,
    }


def _range(values: Any) -> str:
    low, *others = sorted(set(values))
    return f"{low} to {others[-1]}" if others else str(low)


def cost(run: FinishedRun) -> Values:
    """Hardware, duration and package versions."""
    seconds = float(run.done["seconds"].sum())
    epochs = int(run.done["epochs"].sum())
    hardware, versions = run.manifest["hardware"], run.manifest["versions"]
    cards = sorted(name for name in run.done["device"].dropna().unique() if name[:3] != "cpu")
    models = f" ({', '.join(cards)})" if cards else ""
    ways = ways_of_computing(run.done)
    counts = (
        f"{hardware['nodes']} node{'s' if hardware['nodes'] != 1 else ''}",
        f"{hardware['cpus']:g} CPUs ({hardware['processor']})",
        f"{hardware['gpus']:g} GPUs{models}",
        f"{hardware['memory_gib']:g} GiB of memory for the workers",
    )
    facts = {
        **_wall(run),
        "training time, summed over workers": duration(seconds),
        "model-epochs": str(epochs),
        "model-epochs per second and worker": significant(epochs / seconds if seconds else 0.0),
        "hardware, in all": ", ".join(counts),
        "computed": "; ".join(ways) + (", alike within rounding only" if len(ways) > 1 else ""),
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "training code version": str(run.manifest["training_version"]),
    }
    return {"facts": facts}


def _wall(run: FinishedRun) -> dict[str, str]:
    """Wall time from first start to last record, including pauses, if the files have both."""
    begun, ended = datetime.fromisoformat(run.manifest["created"]), run.last_record
    sessions = len(run.manifest.get("sessions", ()))
    times = f", in {sessions} sessions (pauses between them included)" if sessions > 1 else ""
    if ended is None or ended < begun:
        return {}
    return {
        "wall time, from the data's reading to the last model": (
            f"{duration((ended - begun).total_seconds())}{times}:"
            f" {begun:%Y-%m-%d %H:%M} to {ended:%Y-%m-%d %H:%M} UTC"
        )
    }
