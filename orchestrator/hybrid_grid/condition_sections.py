"""The report's sections on models that learned under different conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps

import pandas as pd

from analysis.figures.training_size import training_sizes
from analysis.metrics import name_errors
from analysis.training_size import error_by_size
from orchestrator.interface.format import significant
from orchestrator.report.part import Values
from orchestrator.runs.finished_run import FinishedRun

Find = Callable[[FinishedRun], Values | None]


def of_principal(find: Find) -> Find:
    """A section on the models under the principal conditions alone."""

    @wraps(find)
    def found(run: FinishedRun) -> Values | None:
        return find(run.principal)

    return found


def training_size(run: FinishedRun) -> Values | None:
    """The error of each mixing against the number of training crystals."""
    rows = run.done[run.done["leave_out"] == ""]
    if rows["train_size"].nunique() < 2:
        return None
    found = error_by_size(rows)
    error = name_errors(found["metric"])
    frame = pd.DataFrame(
        {
            "data set": found["task"],
            "backbone": found["backbone"],
            "mixing": found["mixing"],
            "training crystals": found["crystals"].map("{:.0f}".format),
            f"test {error}": found["test_error"].map(significant),
            "95 % interval": [
                f"{significant(low)} to {significant(high)}" if math.isfinite(high) else "–"
                for low, high in zip(found["low"], found["high"], strict=True)
            ],
            "trivial": found["dummy_error"].map(significant),
            "models": found["models"],
            "dim": found["dim"],
            "setting": found["setting"],
        }
    )
    repeats = sorted(set(found["repeats"]))
    together = f"{repeats[0]} to {repeats[-1]}" if len(repeats) > 1 else str(repeats[0])
    return {"curves": frame, "together": together, "drawn": training_sizes(found)}
