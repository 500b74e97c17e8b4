"""The report's first section after a fit: what the models are worth, and how to use them."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.figures.doubling import learned_from
from analysis.figures.periodic import periodic_table
from orchestrator.ensemble.files import FinishedEnsemble
from orchestrator.ensemble.sections import Combined, parity
from orchestrator.fit.files import FinishedFit
from orchestrator.interface.format import counted, interval, significant
from orchestrator.report.part import MakePart, Part, Values, belongs, filled
from orchestrator.runs.finished_run import FinishedRun


@dataclass(frozen=True)
class Fitted:
    """A run and what its fit found."""

    run: FinishedRun
    fit: FinishedFit


def worth(fitted: Fitted) -> Values:
    """Error, parity, learning curve, weak elements, and the command that predicts."""
    facts = fitted.fit.facts
    drawn = parity(Combined(fitted.run, FinishedEnsemble(fitted.run.folder)))
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
        "several": error["low"] is not None,
        "parity": drawn and drawn["drawn"],
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
            limits=(0.0, max(2.0, *(one["ratio"] for one in elements))),  # 1 is no dark colour
        )
        if elements
        else None,
        "run": str(fitted.run.folder),
    }


def with_interval(found: dict[str, float | None]) -> str:
    """A mean, and its interval in brackets if there is one."""
    told = significant(float(found["mean"] or 0))
    if found["low"] is None or found["high"] is None:  # of one fold
        return told
    # no error is negative, as Student's interval over two folds may have it
    return f"{told} ({interval(max(0.0, found['low']), found['high'])})"


SECTIONS = [("Your model", worth)]


def part(run: FinishedRun) -> MakePart | None:
    """The part of a run that has a fit."""
    fit = FinishedFit(run.folder)
    if not fit.exists or not belongs(fit, run.digest):
        return None
    return lambda: _part(Fitted(run, fit))


def _part(fitted: Fitted) -> Part:
    facts = fitted.fit.facts
    return Part(
        filled("fit", SECTIONS, fitted),
        f"A model of {facts['task']}",
        f"{counted(facts['models'], 'model')} of {counted(facts['crystals'], 'crystal')}, by"
        f" elemgrid fit in {facts['spent']:.1f} minutes",
    )
