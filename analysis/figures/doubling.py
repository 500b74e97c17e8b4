"""A learning curve, and what its slope says of twice the data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.doubling import slope
from analysis.figures.curves import mark_errors
from analysis.figures.style import INK, MUTED, finish, label_axis, panels


def learned_from(curve: pd.DataFrame, metric: str, unit: str) -> go.Figure:
    """Error against training crystals, a thin line a fold, the mean, and the mean at twice as many.

    Args:
        curve: as of `analysis.doubling.slope`, with at least two sizes; `size` names them.
    """
    fig = panels(1, 1, [""], panel_height=330)
    for fold, own in curve.groupby("fold"):
        fig.add_scatter(
            x=own["crystals"], y=own["error"], mode="lines", showlegend=False,
            line={"color": MUTED, "width": 1},
            hovertemplate=f"fold {fold}, %{{x:.0f}} crystals: %{{y:.4g}}<extra></extra>",
        )  # fmt: skip
    points = curve.groupby("size")[["crystals", "error"]].mean().sort_values("crystals")
    fig.add_scatter(
        x=points["crystals"], y=points["error"], mode="lines+markers", name="mean over folds",
        line={"color": INK, "width": 2},
    )  # fmt: skip
    errors, sizes = list(curve["error"]), list(points["crystals"])
    found = slope(curve)
    if found is not None:
        last, error = sizes[-1], float(points["error"].iloc[-1])
        ends = [abs(end - found.factor) * error for end in (found.high, found.low)]
        bars = dict(zip(("array", "arrayminus"), ([end] for end in ends), strict=True))
        shown = np.isfinite(ends).all()
        fig.add_scatter(
            x=[last, 2 * last], y=[error, error * found.factor], mode="lines+markers",
            name="twice the data, by the slope", line={"color": INK, "width": 1.5, "dash": "dot"},
            error_y={"type": "data", "symmetric": False,
                     "array": [0, *bars["array"]], "arrayminus": [0, *bars["arrayminus"]]}
            if shown else None,
        )  # fmt: skip
        errors.append(error * found.factor)
        sizes.append(2 * last)
    ticks = [round(size) for size in sizes]
    fig.update_xaxes(type="log", title_text="training crystals", tickvals=ticks, ticktext=ticks)
    fig.update_yaxes(type="log", title_text=label_axis(f"test {metric}", unit))
    mark_errors(fig, 1, 1, pd.Series(errors))
    fig.update_layout(showlegend=True)
    return finish(
        fig,
        title="Error of single models against the number of training crystals",
        subtitle="a thin line is a fold; both axes logarithmic",
    )
