"""Error against the number of training crystals."""

from __future__ import annotations

import math
from itertools import chain

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.figures.curves import mark_errors
from analysis.figures.style import (
    MUTED,
    add_band,
    colour_mixings,
    fade,
    finish,
    format_value,
    label_axis,
    label_mixing,
    order_mixings,
    panels_of,
    units_of,
    with_unit,
)
from analysis.metrics import metrics_of, name_errors

TRIVIAL = "trivial prediction"
LEAST_OF_BAND = 0.5  # of the lowest mean; a band that reaches to 0 has no end on a logarithmic axis


def training_sizes(curves: pd.DataFrame) -> go.Figure:
    """Both axes logarithmic, a line a mixing, a row of panels per task, a column per backbone.

    Bands are 95 % intervals; the dotted line is the trivial prediction.

    Args:
        curves: as of `analysis.training_size.error_by_size`; errors that are not above 0 are left
            out.
    """
    rows = curves[curves["test_error"] > 0]
    units, metrics = units_of(rows), metrics_of(rows)
    fig, places = panels_of(rows)
    mixings = order_mixings(rows)
    colours = colour_mixings(mixings)
    shown: set[str] = set()
    for panel in chain.from_iterable(places):
        here = panel.rows
        for mixing in [one for one in mixings if (here["mixing"] == one).any()]:
            line, least = here[here["mixing"] == mixing], LEAST_OF_BAND * here["test_error"].min()
            _add_band(fig, line, colours[mixing], least, panel.at)
            _add_line(fig, line, colours[mixing], units[panel.task], mixing not in shown, panel.at)
            shown.add(mixing)
        if len(here):
            _add_trivial(fig, here, TRIVIAL not in shown, panel.at)
            shown.add(TRIVIAL)
            errors = pd.concat([here["test_error"], here["dummy_error"]])
            mark_errors(fig, panel.row, panel.column, errors)
            _mark_sizes(fig, here["crystals"], panel.at)
    for first, *_ in places:
        name = f"test {name_errors([metrics[first.task]])}"
        fig.update_yaxes(title_text=label_axis(name, units[first.task]), **first.at)
    fig.update_xaxes(type="log")
    fig.update_yaxes(type="log")
    fig.update_xaxes(title_text="training crystals", row=len(places))
    fig.update_layout(legend_title_text="γ ", showlegend=True)
    return finish(
        fig,
        title="Error against the number of training crystals",
        subtitle="mean over folds and seeds, band: 95 % interval; both axes logarithmic",
    )


def _add_band(
    fig: go.Figure, line: pd.DataFrame, colour: str, least: float, at: dict[str, int]
) -> None:
    known = line[np.isfinite(line["high"])]
    if known.empty:
        return
    low, group = known["low"].clip(lower=least), str(line["mixing"].iloc[0])
    fill = fade(colour, 0.13)
    add_band(fig, known["crystals"], low, known["high"], fill, legendgroup=group, **at)


def _add_line(
    fig: go.Figure, line: pd.DataFrame, colour: str, unit: str, show: bool, at: dict[str, int]
) -> None:
    mixing = str(line["mixing"].iloc[0])
    name = label_mixing(mixing)
    ends = [
        f"{low:.3g} to {high:.3g}" if math.isfinite(high) else "one model"
        for low, high in zip(line["low"], line["high"], strict=True)
    ]
    fig.add_scatter(
        x=line["crystals"], y=line["test_error"], mode="lines+markers", name=name,
        legendgroup=mixing, showlegend=show, line={"color": colour, "width": 2},
        marker={"color": colour, "size": 6}, customdata=list(zip(ends, line["dim"], strict=True)),
        hovertemplate=f"γ = {name}, dim %{{customdata[1]}}, %{{x:.0f}} crystals<br>"
        + with_unit("%{y:.4g}", unit) + " (%{customdata[0]})<extra></extra>",
        **at,
    )  # fmt: skip


def _add_trivial(fig: go.Figure, here: pd.DataFrame, show: bool, at: dict[str, int]) -> None:
    trivial = here.groupby("crystals")["dummy_error"].mean()
    fig.add_scatter(
        x=trivial.index, y=trivial, mode="lines", name=TRIVIAL, legendgroup=TRIVIAL,
        showlegend=show, line={"color": MUTED, "width": 1.4, "dash": "dot"},
        hovertemplate=f"{TRIVIAL}, %{{x:.0f}} crystals: %{{y:.4g}}<extra></extra>", **at,
    )  # fmt: skip


def _mark_sizes(fig: go.Figure, crystals: pd.Series, at: dict[str, int]) -> None:
    """Marks the sizes themselves, without those that stand too near to the next larger one."""
    sizes = sorted(crystals.unique(), reverse=True)
    ticks: list[float] = []
    for size in sizes:
        if not ticks or math.log(ticks[-1] / size) > 0.08 * math.log(sizes[0] / sizes[-1]):
            ticks.append(float(size))
    fig.update_xaxes(tickvals=ticks, ticktext=[format_value(round(n)) for n in ticks], **at)
