"""The report's sections on an element scale."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from analysis.elements import NUMBERS
from analysis.figures.scale import gap_bars, pareto_front, relation_maps, scale_line
from orchestrator.element_scale.files import FinishedScale
from orchestrator.interface.format import significant
from orchestrator.interface.page import figure, table
from orchestrator.report.part import MakePart, Part, filled
from orchestrator.runs.finished_run import FinishedRun

SOURCES = {
    "mined": "counted in the crystals of {name}",
    "counts": "from the counts in {name}",
    "published": "from the substitution probabilities of Hautier et al. (2011), doi:{name}",
}
KEPT = {
    "share": "1 − S / max S",
    "logarithm": "the logarithms of the chemical distances",
    "product": "the chemical distances",
}
# The thesis draws these λ (fig. 3.3); of other grids, the same number is drawn.
BARS = 10


def axis(scale: FinishedScale) -> str:
    """The scale itself; table 3.1 of the thesis."""
    facts = scale.facts
    source = SOURCES[facts["source"]["kind"]].format(name=facts["source"]["name"])
    order = {
        "mds": f"one-dimensional scaling of {KEPT[(facts['mds'] or {}).get('on', 'share')]}",
        "mod_petti": "the modified Pettifor order (Glawe et al., 2016)",
    }.get(facts["order"], "the order that was given")
    found = (
        f"; {facts['mds']['hits']} of {facts['mds']['restarts']} random starts ended in this order"
        if facts["mds"]
        else ""
    )
    isolated = (
        '<p class="note">No replacement of these is known, so only the repulsion places them:'
        f" {' '.join(facts['isolated'])}.</p>"
        if facts["isolated"]
        else ""
    )
    return (
        "<p>Elements that replace each other in known crystals stand close together. How often they"
        f" do is {source}; the order is {order}{found}. Dense runs are drawn in several lines.</p>"
        f"{isolated}{figure(scale_line(scale.positions))}"
    )


def relations(scale: FinishedScale) -> str:
    """Fig. 3.1 of the thesis."""
    symbols = sorted(scale.positions, key=NUMBERS.__getitem__)
    return (
        "<p>Left: how often the element of a row is replaced by that of a column, per crystal with"
        " it (eq. 3.1 of the thesis). Right: the chemical distance 1/S, by way of other elements"
        " where a pair was never seen (eq. 3.2).</p>" + figure(relation_maps(symbols, *scale.pairs))
    )


def gaps(scale: FinishedScale) -> str:
    """Fig. 3.3 of the thesis."""
    grid = scale.front[scale.front["source"] == "grid"].sort_values("lambda")
    step = max(1, -(-len(grid) // BARS))
    chosen = {float(row["lambda"]): row["gaps"] for _, row in grid.iloc[::step].iterrows()}
    return (
        "<p>Gaps between neighbours, in proportion to an even scale (1), for several weights λ of"
        " the repulsion.</p>" + figure(gap_bars(list(scale.positions), chosen))
    )


def front(scale: FinishedScale) -> str:
    """Fig. 3.4 of the thesis."""
    facts, volume = scale.facts, scale.facts["hypervolume"]
    rule = (
        "The scale on the hull whose gaps vary most is taken"
        if facts["picked_by"] == "variance"
        else "λ was given by hand"
    )
    proof = "All minima are" if facts["converged"] else "Not all minima are"
    return (
        "<p>Each point is the minimum of eq. 3.3 for one λ: how much similar elements are pulled"
        f" apart against how crowded the scale is. {rule}: λ = {facts['lambda']:g}. The"
        f" hypervolume, in the box around the λ asked for, is {volume['grid']:.3f} with these and"
        f" {volume['refined']:.3f} with those added where the front bends. {proof} proven by their"
        f" gradients.</p>{figure(pareto_front(scale.front))}"
    )


def fidelity(scale: FinishedScale) -> str:
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
    if not rows:
        return ""
    return (
        "<p>How well scales keep the relations, on the elements that all of them have."
        " <b>Stress-1</b> against the chemical distances: 0 is perfect; the largest distances,"
        " those of rarely replaced elements, decide it. <b>Spearman</b> of distance on the scale"
        " with −S over pairs that replace each other: 1 is perfect. <b>Neighbours kept</b>: of an"
        " element's five most replaceable partners, the share among its five nearest.</p>"
        + table(pd.DataFrame(rows))
    )


SCALE_SECTIONS: tuple[tuple[str, Callable[[FinishedScale], str]], ...] = (
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
        filled(SCALE_SECTIONS, scale),
        "A one-dimensional scale of the elements",
        f"{len(scale.positions)} elements, {found}",
    )
