"""Errors on elements that were held out: on the periodic table, and against shots."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import chain

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.elements import NUMBERS
from analysis.figures.periodic import periodic_table
from analysis.figures.style import (
    MUTED,
    add_band,
    colour_mixings,
    fade,
    finish,
    label_mixing,
    order_mixings,
    panels_of,
)


def error_map(errors: Mapping[str, float], title: str, limits: tuple[float, float]) -> go.Figure:
    """Periodic table of test errors as shares of the trivial prediction's.

    Args:
        errors: by what was held out, as "Ta" or "O+S"; an element has its own error, or else
            that of the smallest set with it.
        limits: of the colours, so that several maps can be compared.
    """
    values: dict[int, float] = {}
    for name in sorted(errors, key=lambda name: -name.count("+")):
        values |= dict.fromkeys((NUMBERS[one] for one in name.split("+")), errors[name])
    return periodic_table(
        values,
        text={z: f"{share:.2f}" for z, share in values.items()},
        title=title,
        colour_scale="YlOrRd",
        unit="of trivial",
        subtitle="test error of crystals with the element, over that of the trivial prediction",
        limits=limits,
    )


def shots_curve(curves: pd.DataFrame) -> go.Figure:
    """Share of the trivial error against shots, a line a mixing; bands are 95 % intervals.

    Args:
        curves: as of `analysis.holdout.over_elements`.
    """
    fig, places = panels_of(curves)
    mixings = order_mixings(curves)
    colours = colour_mixings(mixings)
    shown: set[str] = set()
    for panel in chain.from_iterable(places):
        for mixing in [one for one in mixings if (panel.rows["mixing"] == one).any()]:
            line = panel.rows[panel.rows["mixing"] == mixing].sort_values("shots")
            _add_mixing(fig, line, colours[mixing], mixing not in shown, panel.at)
            shown.add(mixing)
        fig.add_hline(y=1, line={"color": MUTED, "width": 1.2, "dash": "dot"}, **panel.at)
    for first, *_ in places:
        fig.update_yaxes(title_text="error / trivial error", **first.at)
    order = [str(shots) for shots in sorted(curves["shots"].unique())]
    fig.update_xaxes(type="category", categoryorder="array", categoryarray=order)
    fig.update_yaxes(rangemode="tozero")
    fig.update_xaxes(title_text="training crystals with the element", row=len(places))
    fig.update_layout(legend_title_text="γ ", showlegend=True)
    return finish(
        fig,
        title="How few crystals make an element known",
        subtitle="mean over what is held out, band: 95 % interval; dotted: trivial prediction",
    )


def _add_mixing(
    fig: go.Figure, line: pd.DataFrame, colour: str, show: bool, at: dict[str, int]
) -> None:
    mixing = str(line["mixing"].iloc[0])
    x = line["shots"].astype(str).tolist()
    if np.isfinite(line["high"]).all() and len(x) > 1:
        low, fill = line["low"].clip(lower=0), fade(colour, 0.13)
        add_band(fig, x, low, line["high"], fill, legendgroup=mixing, **at)
    ends = [
        f"{low:.2f} to {high:.2f}" if math.isfinite(high) else "one model"
        for low, high in zip(line["low"], line["high"], strict=True)
    ]
    fig.add_scatter(
        x=x, y=line["share"], mode="lines+markers", name=label_mixing(mixing), legendgroup=mixing,
        showlegend=show, line={"color": colour, "width": 2}, marker={"color": colour, "size": 6},
        customdata=ends,
        hovertemplate=f"γ = {label_mixing(mixing)}, %{{x}} shots: %{{y:.3f}}"
        " (%{customdata})<extra></extra>", **at,
    )  # fmt: skip
