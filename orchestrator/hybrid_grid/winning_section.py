"""The report's section on which mixing wins, beside chance and beside handcrafted vectors alone."""

from __future__ import annotations

import pandas as pd

from analysis import wins
from analysis.figures.winners import winners
from analysis.geometry import MIXED
from orchestrator.grid import columns as axes
from orchestrator.interface.format import interval, significant
from orchestrator.report.part import Values
from orchestrator.runs.finished_run import FinishedRun

HYBRID = "hybrid"


def winning(run: FinishedRun) -> Values | None:
    """Figs 4.2b and 4.3 of the thesis."""
    if run.done["mixing"].nunique() < 2:
        return None
    drawn = [winners(run.ledger, by="backbone")]
    if run.done["task"].nunique() > 1:
        drawn.append(winners(run.ledger, by="task"))
    counted = wins.wins_by_class(run.ledger)
    return {
        "drawn": drawn,
        "inner": bool(run.done["inner_folds"].any()),
        "classes": _classes(counted),
        "clusters": int(counted["clusters"].max()),
        "differences": _from_handcrafted(run),
    }


def _classes(counted: pd.DataFrame) -> pd.DataFrame:
    """Wins of handcrafted, hybrid and learned vectors beside chance."""
    return pd.DataFrame(
        {
            "backbone": row.backbone,
            "vectors": HYBRID if row.strategy == MIXED else row.strategy,
            "cells won": f"{row.wins} of {row.cells}",
            "share": f"{row.share:.0%}",
            "95 % interval": f"{row.low:.0%} … {row.high:.0%}",
            "chance": f"{row.chance:.0%}",
        }
        for row in counted.rename(columns={"class": "strategy"}).itertuples()
    )


def _from_handcrafted(run: FinishedRun) -> pd.DataFrame | None:
    """What each mixing changes in the test error, against H; None without H."""
    found = wins.from_handcrafted(run.ledger)
    if found.empty:
        return None
    return pd.DataFrame(
        {
            "data set": row.task,
            "backbone": row.backbone,
            "mixing": row.mixing,
            **({"setting": row.setting} if axes.varying(run.done) else {}),
            "folds": str(row.folds),
            "difference from H": f"{significant(row.difference)} ({row.relative:+.1%})",
            "95 % interval": interval(row.low, row.high),
            "p": "–" if pd.isna(row.p) else f"{row.p:.2g}",
            "smallest detectable": significant(row.detectable),
        }
        for row in found.itertuples()
    )
