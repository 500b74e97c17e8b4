"""Learning curves: error against epoch."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.figures.style import (
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

MAX_LINES = 60


def _thin(keys: list[str], at_most: int) -> list[str]:
    """At most so many keys, evenly spaced in the sorted list."""
    ordered = sorted(keys)
    if len(ordered) <= at_most:
        return ordered
    return [ordered[i * len(ordered) // at_most] for i in range(at_most)]


def _choose_ticks(values: pd.Series) -> list[float]:
    """1, 2, 5, 10, … within the range of the values; plotly itself writes a bare 2 for 200."""
    low, high = float(values.min()), float(values.max())
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps: tuple[float, ...] = (1,) if high / low > 3000 else (1, 2, 5)
    if high / low < 12:
        steps = (1, 1.5, 2, 3, 4, 5, 6, 8)
    ticks = [float(f"{step}e{e}") for e in exponents for step in steps]
    if sum(low <= tick <= high for tick in ticks) < 2:  # a panel has to show its scale
        return [float(f"{value:.3g}") for value in np.linspace(low, high, 4)]
    return [tick for tick in ticks if 0.8 * low <= tick <= 1.25 * high]


def mark_errors(fig: go.Figure, row: int, column: int, values: pd.Series) -> None:
    """Marks the logarithmic error axis of a panel by its values."""
    ticks = _choose_ticks(values) if len(values) else []
    labels = [format_value(tick) for tick in ticks]
    fig.update_yaxes(tickvals=ticks, ticktext=labels, row=row, col=column)


def _describe(line: pd.DataFrame) -> str:
    first = line.iloc[0]
    words = [f"{name} {first[name]}" for name in ("dim", "fold", "seed") if name in line.columns]
    return f"γ = {label_mixing(str(first['mixing']))}, " + ", ".join(words)


def _line(line: pd.DataFrame, error: str, colour: str, unit: str) -> dict[str, Any]:
    """The trace of one model's curve."""
    mixing = str(line["mixing"].iloc[0])
    return {
        "x": line["epoch"],
        "y": line[error],
        "mode": "lines",
        "name": label_mixing(mixing),
        "legendgroup": mixing,
        "line": {"color": fade(colour, 0.75), "width": 1.3},
        "hovertemplate": f"{_describe(line)}<br>epoch %{{x}}: "
        + with_unit("%{y:.4g}", unit)
        + "<extra></extra>",
    }


def learning_curves(
    curves: pd.DataFrame, error: str = "val_error", at_most: int = MAX_LINES
) -> go.Figure:
    """Error (logarithmic) against epoch, a row of panels per task, a column per backbone.

    Args:
        curves: key, task, backbone, mixing, gamma, epoch and the error, one row per epoch;
            optional dim, fold, seed (shown on hovering), unit and metric. Values that are not
            finite and positive are left out.
        error: the column to draw.
        at_most: models per panel, evenly chosen.

    Raises:
        ValueError: no row has a finite positive value.
    """
    rows = curves[pd.to_numeric(curves[error], errors="coerce").between(0, math.inf, "neither")]
    if rows.empty:
        raise ValueError(f"no learning curve has a finite {error}")
    units, metrics = units_of(rows), metrics_of(rows)
    fig, places = panels_of(rows)
    mixings = order_mixings(rows)
    colours = colour_mixings(mixings)
    shown: set[str] = set()
    thinned = False
    for panel in chain.from_iterable(places):
        here = panel.rows
        keys = here["key"].unique().tolist()
        mark_errors(fig, panel.row, panel.column, here[error])
        thinned = thinned or len(keys) > at_most
        for key in _thin(keys, at_most):
            line = here[here["key"] == key].sort_values("epoch")
            mixing = str(line["mixing"].iloc[0])
            fig.add_scatter(
                **_line(line, error, colours[mixing], units[panel.task]),
                showlegend=mixing not in shown, legendrank=1000 + mixings.index(mixing),
                **panel.at,
            )  # fmt: skip
            shown.add(mixing)
    for first, *_ in places:
        name = f"validation {name_errors([metrics[first.task]])}"
        fig.update_yaxes(title_text=label_axis(name, units[first.task]), **first.at)
    fig.update_yaxes(type="log")
    fig.update_xaxes(title_text="epoch", row=len(places))
    fig.update_layout(legend_title_text="γ ", showlegend=True)
    note = "one line a model, coloured by mixing; logarithmic error axis"
    if thinned:
        note += f"; {at_most} models a panel, evenly chosen"
    return finish(fig, title="Learning curves", subtitle=note)
