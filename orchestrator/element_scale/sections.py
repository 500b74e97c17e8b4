"""The report's sections on an element scale."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from analysis.elements import NUMBERS
from analysis.figures.scale import gap_bars, pareto_front, relation_maps, scale_line
from orchestrator.element_scale.files import FinishedScale
from orchestrator.interface.format import significant
from orchestrator.report.part import MakePart, Part, Values, filled
from orchestrator.runs.finished_run import FinishedRun

# The thesis draws these λ (fig. 3.3); of other grids, the same number is drawn.
BARS = 10


def axis(scale: FinishedScale) -> Values:
    """The scale itself; table 3.1 of the thesis."""
    return {"facts": scale.facts, "line": scale_line(scale.positions)}


def relations(scale: FinishedScale) -> Values:
    """Fig. 3.1 of the thesis."""
    symbols = sorted(scale.positions, key=NUMBERS.__getitem__)
    return {"maps": relation_maps(symbols, *scale.pairs)}


def gaps(scale: FinishedScale) -> Values:
    """Fig. 3.3 of the thesis."""
    grid = scale.front[scale.front["source"] == "grid"].sort_values("lambda")
    step = max(1, -(-len(grid) // BARS))
    chosen = {float(row["lambda"]): row["gaps"] for _, row in grid.iloc[::step].iterrows()}
    return {"bars": gap_bars(list(scale.positions), chosen)}


def front(scale: FinishedScale) -> Values:
    """Fig. 3.4 of the thesis."""
    return {"facts": scale.facts, "points": pareto_front(scale.front)}


def fidelity(scale: FinishedScale) -> Values | None:
    """This scale compared with published ones."""
    rows = [
        {
            "scale": name,
            "elements": found["elements"],
            "stress-1": significant(found["stress"]),
            "Spearman with −S": significant(found["spearman"]),
            "neighbours kept": f"{100 * found['neighbours']:.0f} %",
        }
        for name, found in scale.facts["fidelity"].items()
    ]
    return {"scales": pd.DataFrame(rows)} if rows else None


SCALE_SECTIONS: tuple[tuple[str, Callable[[FinishedScale], Values | None]], ...] = (
    ("The elements on one axis", axis),
    ("Beside other scales", fidelity),
    ("Replaceability and distance", relations),
    ("Gaps for each λ", gaps),
    ("Which λ", front),
)


def part(run: FinishedRun) -> MakePart | None:
    """The function that makes the scale's part of the report; None if there is no scale."""
    scale = FinishedScale(run.folder)
    return (lambda: _part(scale)) if scale.exists else None


def _part(scale: FinishedScale) -> Part:
    found = f"λ = {scale.facts['lambda']:g}, from {scale.facts['source']['name']}"
    return Part(
        filled(scale.job, SCALE_SECTIONS, scale),
        "A one-dimensional scale of the elements",
        f"{len(scale.positions)} elements, {found}",
    )
