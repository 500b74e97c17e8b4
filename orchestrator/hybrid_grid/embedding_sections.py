"""The report's sections on the element embedding: what was learned beside what was handcrafted."""

from __future__ import annotations

import pandas as pd

from analysis import leaderboard
from analysis.figures.style import label_mixing
from orchestrator.grid import columns as axes
from orchestrator.interface.format import counted, significant
from orchestrator.report.part import Values
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.record_contents import ABLATIONS

START, END = "log_ratio_start", "log_ratio_end"
ORDER = ["task", "backbone", "dim", "gamma", "setting"]


def learned(run: FinishedRun) -> Values | None:
    """By how much the learned part of the vectors is longer, before and after the training."""
    hybrids = run.done.dropna(subset=END)
    if hybrids.empty:
        return None
    found = _means(hybrids, start=(START, "mean"), end=(END, "mean"), spread=(END, "std"))
    frame = _configurations(found, run).assign(
        **{
            "at the start": found["start"].map(_ratio),
            "at the end": found["end"].map(_ratio),
            "± over models": found["spread"].map(lambda std: "–" if pd.isna(std) else f"{std:.2f}"),
        }
    )
    return {"counted": counted(len(hybrids), "model"), "ratios": frame}


def ablated(run: FinishedRun) -> Values | None:
    """Errors of hybrids whose vectors of one channel are averaged, or are of other elements."""
    hybrids = run.done.dropna(subset=list(ABLATIONS))
    if hybrids.empty:
        return None
    errors = {
        "as trained": "test_error",
        "h averaged": "h_mean_error",
        "h permuted": "h_permuted_error",
        "l averaged": "l_mean_error",
        "l permuted": "l_permuted_error",
        "trivial": "dummy_error",
    }
    found = _means(hybrids, **{column: (column, "mean") for column in errors.values()})
    frame = _configurations(found, run).assign(
        **{title: found[column].map(significant) for title, column in errors.items()}
    )
    return {"counted": counted(len(hybrids), "model"), "errors": frame}


def _means(hybrids: pd.DataFrame, **columns: tuple[str, str]) -> pd.DataFrame:
    """A row for each configuration, in the order of a table."""
    groups = hybrids.groupby(list(leaderboard.CONFIGURATION))
    means = groups.agg(models=("key", "count"), gamma=("gamma", "first"), **columns)
    return means.reset_index().sort_values(ORDER, kind="stable")


def _configurations(found: pd.DataFrame, run: FinishedRun) -> pd.DataFrame:
    """The first columns of a table: which configuration, and of how many models."""
    frame = pd.DataFrame(
        {
            "data set": found["task"],
            "backbone": found["backbone"],
            "dim": found["dim"],
            "mixing": found["mixing"].map(label_mixing),
        }
    )
    if axes.varying(run.done):
        frame["setting"] = found["setting"]
    return frame.assign(models=found["models"])


def _ratio(value: float) -> str:
    return "−∞" if pd.isna(value) else f"{value:.2f}".replace("-", "−")
