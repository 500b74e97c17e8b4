"""The report's first section after a fit: what the models are worth, and how to use them."""

from __future__ import annotations

import pandas as pd

from analysis.figures.doubling import learned_from
from analysis.figures.periodic import periodic_table
from orchestrator.fit.files import FinishedFit
from orchestrator.interface.format import interval, significant
from orchestrator.report.part import MakePart, Part, Values, belongs, filled
from orchestrator.runs.finished_run import FinishedRun


def worth(fit: FinishedFit) -> Values:
    """Error, learning curve, weak elements, and the command that predicts."""
    facts = fit.facts
    error, double = facts["error"], facts["double"]
    weak = pd.DataFrame(
        {
            "element": one["element"],
            "test crystals": one["crystals"],
            "mean error": significant(one["error"]),
            "times that of all": f"{one['ratio']:.2f}",
        }
        for one in facts["weak"]
    )
    elements = facts["elements"]
    return {
        "facts": facts,
        "error": with_interval(error),
        "double": None if double is None else with_interval(double),
        "curve": learned_from(pd.DataFrame(facts["curve"]), facts["metric"], facts["unit"] or "")
        if facts["double"] is not None
        else None,
        "weak": None if weak.empty else weak,
        "map": periodic_table(
            {one["z"]: one["ratio"] for one in elements},
            title="Error of the crystals with an element",
            subtitle="times that of all; elements in fewer than ten test crystals are left out",
            colour_scale="Oranges",
        )
        if elements
        else None,
        "run": fit.folder.name,
    }


def with_interval(found: dict[str, float | None]) -> str:
    """A mean, and its interval in brackets if there is one."""
    told = significant(float(found["mean"] or 0))
    if found["low"] is None or found["high"] is None:  # of one fold
        return told
    return f"{told} ({interval(found['low'], found['high'])})"


SECTIONS = [("Your model", worth)]


def part(run: FinishedRun) -> MakePart | None:
    """The part of a run that has a fit."""
    fit = FinishedFit(run.folder)
    if not fit.exists or not belongs(fit, run.digest):
        return None
    return lambda: Part(filled("fit", SECTIONS, fit))
