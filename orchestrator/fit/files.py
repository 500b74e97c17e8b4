"""The files that `fit` writes: `fit_design.json` when it begins, `fit.json` at its end."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from orchestrator.ensemble import files as ensemble
from orchestrator.fit.design import Design
from orchestrator.runs import sums
from orchestrator.runs.finished_files import FinishedFiles

DESIGN, FACTS = "fit_design.json", "fit.json"


def read_design(run: Path) -> Design | None:
    """The design that an earlier command began with; None if there is none, or it is damaged."""
    try:
        given = json.loads((run / DESIGN).read_bytes())
        lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
        return Design(**given | lists)
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return None


def begin(run: Path, design: Design) -> None:
    """Writes the first design, which the same command takes up again, and forgets earlier results,
    which are of fewer models.
    """
    sums.remove(run, FACTS, *ensemble.FILES)
    sums.write_json(run, DESIGN, dataclasses.asdict(design))


def write_facts(run: Path, facts: dict[str, Any]) -> None:
    """Writes `fit.json`, last: the fit is done once it is there."""
    sums.write_json(run, FACTS, facts)


class FinishedFit(FinishedFiles):
    """The files of a fit."""

    job, facts_file = "fit", FACTS
