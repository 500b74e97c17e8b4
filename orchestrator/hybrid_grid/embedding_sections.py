"""The report's sections on the element embedding: what was learned beside what was handcrafted."""

from __future__ import annotations

import pandas as pd

from analysis import leaderboard
from analysis.figures.style import label_mixing
from orchestrator.grid import columns as axes
from orchestrator.interface.format import counted
from orchestrator.report.part import Values
from orchestrator.runs.finished_run import FinishedRun

START, END = "log_ratio_start", "log_ratio_end"


def learned(run: FinishedRun) -> Values | None:
    """By how much the learned part of the vectors is longer, before and after the training."""
    if START not in run.done:  # a ledger of an earlier version
        return None
    hybrids = run.done.dropna(subset=END)
    if hybrids.empty:
        return None
    order = ["task", "backbone", "dim", "gamma", "setting"]
    found = (
        hybrids.groupby(list(leaderboard.CONFIGURATION))
        .agg(models=("key", "count"), gamma=("gamma", "first"), start=(START, "mean"),
             end=(END, "mean"), spread=(END, "std"))
        .reset_index()
        .sort_values(order, kind="stable")
    )  # fmt: skip
    frame = pd.DataFrame(
        {
            "data set": found["task"],
            "backbone": found["backbone"],
            "dim": found["dim"],
            "mixing": found["mixing"].map(label_mixing),
            **({"setting": found["setting"]} if axes.varying(run.done) else {}),
            "models": found["models"],
            "at the start": found["start"].map(_ratio),
            "at the end": found["end"].map(_ratio),
            "± over models": found["spread"].map(lambda std: "–" if pd.isna(std) else f"{std:.2f}"),
        }
    )
    return {"counted": counted(len(hybrids), "model"), "ratios": frame}


def _ratio(value: float) -> str:
    return "−∞" if pd.isna(value) else f"{value:.2f}".replace("-", "−")
