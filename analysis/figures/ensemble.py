"""Predictions of an ensemble with their uncertainty, and how well it is calibrated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.figures.style import (
    CATEGORIES,
    INK,
    MUTED,
    add_diagonal,
    colour_categories,
    fade,
    finish,
    format_value,
    label_axis,
    panels,
    shorten,
    with_unit,
)

COLUMNS = 3
MAX_POINTS = 2000


def parity_with_spread(predicted: pd.DataFrame, units: Mapping[str, str]) -> go.Figure:
    """Test predictions against targets, one panel per task; bars show one standard deviation.

    The MAE in a panel is of all its points, of which at most 2 000 are drawn, the most uncertain
    darkest.

    Args:
        predicted: task, id, target, prediction and std.
        units: of each task's target.
    """
    pools = list(predicted.groupby("task", sort=False))
    columns = min(COLUMNS, len(pools))
    fig = panels(
        -(-len(pools) // columns), columns,
        [shorten(str(task), 90 // columns) for task, _ in pools],
        panel_height=270 if columns > 1 else 430, gap=100, horizontal=0.1,
    )  # fmt: skip
    for place, (task, points) in enumerate(pools):
        row, column = place // columns + 1, place % columns + 1
        _add_panel(fig, row, column, points, units.get(str(task), ""))
    return finish(
        fig,
        title="Predictions of the ensemble on the test parts",
        subtitle="a bar is one calibrated standard deviation; the darker, the more uncertain",
        legend=False,
    )


def _add_panel(fig: go.Figure, row: int, column: int, points: pd.DataFrame, unit: str) -> None:
    step = -(-len(points) // MAX_POINTS)
    drawn = points.sort_values(["target", "id"], kind="stable").iloc[::step]
    values = points[["target", "prediction"]].to_numpy()
    low, high = float(values.min()), float(values.max())
    ends = add_diagonal(fig, row, column, low, high)
    fig.add_scatter(
        x=drawn["target"], y=drawn["prediction"], mode="markers", showlegend=False,
        error_y={"type": "data", "array": drawn["std"], "thickness": 1, "width": 0,
                 "color": fade(CATEGORIES[0], 0.25)},
        marker={"size": 4, "color": drawn["std"].rank(pct=True), "colorscale": "Blues",
                "cmin": -0.5, "cmax": 1.0},
        customdata=drawn[["id", "std"]].to_numpy(), row=row, col=column,
        hovertemplate="%{customdata[0]}<br>true %{x:.4g}, predicted %{y:.4g}"
        " ± %{customdata[1]:.2g}<extra></extra>",
    )  # fmt: skip
    error = float((points["target"] - points["prediction"]).abs().mean())
    fig.add_annotation(
        x=0.03, xref="x domain", y=0.97, yref="y domain", xanchor="left", yanchor="top",
        align="left", showarrow=False, font={"size": 11}, row=row, col=column,
        bgcolor="rgba(255,255,255,0.8)",
        text=f"{with_unit(f'MAE {format_value(error)}', unit)}<br>{len(points):,} crystals",
    )  # fmt: skip
    fig.update_xaxes(title_text=label_axis("true", unit), range=ends, row=row, col=column)
    fig.update_yaxes(range=ends, row=row, col=column)
    if column == 1:
        fig.update_yaxes(title_text=label_axis("predicted", unit), row=row, col=column)


def calibration(coverage: pd.DataFrame, predicted: pd.DataFrame) -> go.Figure:
    """Left: share of test targets within their intervals against the intervals' level.

    Right: mean absolute error of the crystals, in tenths from the most certain to the least, over
    the mean of their task.

    Args:
        coverage: task, fold, level, covered.
        predicted: task, target, prediction and std.
    """
    tasks = list(dict.fromkeys(coverage["task"]))
    colours = colour_categories(tasks)
    fig = panels(
        1, 2, ["intervals: promised and kept", "does the spread tell errors apart?"],
        panel_height=340, horizontal=0.12,
    )  # fmt: skip
    fig.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": MUTED, "width": 1, "dash": "dot"},
        hoverinfo="skip", showlegend=False, row=1, col=1,
    )  # fmt: skip
    fig.add_hline(y=1, line={"color": MUTED, "width": 1, "dash": "dot"}, row=1, col=2)
    for task in tasks:
        of_task = coverage[coverage["task"] == task].groupby("level")["covered"]
        _add_promises(fig, of_task, shorten(task, 24), colours[task], len(tasks) > 1)
        tenth, relative = _by_certainty(predicted[predicted["task"] == task])
        fig.add_scatter(
            x=tenth, y=relative, mode="lines+markers", showlegend=False,
            line={"color": colours[task]}, marker={"size": 6}, row=1, col=2,
            hovertemplate="tenth %{x}: %{y:.2f} of the mean<extra></extra>",
        )  # fmt: skip
    finish(
        fig,
        title="Calibration of the ensemble's spread",
        subtitle="on test parts, which had no part in it; bars span the folds",
        legend=len(tasks) > 1,
    )
    fig.update_xaxes(title_text="promised share", range=[0, 1], tickformat=".0%", row=1, col=1)
    fig.update_yaxes(title_text="share of targets inside", range=[0, 1.02], tickformat=".0%",
                     row=1, col=1)  # fmt: skip
    fig.update_xaxes(title_text="tenth of the crystals, most certain first", dtick=1, row=1, col=2)
    fig.update_yaxes(title_text="MAE over the task's MAE", rangemode="tozero", color=INK,
                     row=1, col=2)  # fmt: skip
    return fig


def _add_promises(fig: go.Figure, of_task: Any, name: str, colour: str, legend: bool) -> None:
    """The coverage of one task's intervals, with the range over its folds."""
    kept, low, high = of_task.mean(), of_task.min(), of_task.max()
    fig.add_scatter(
        x=kept.index, y=kept, mode="lines+markers", name=name, showlegend=legend,
        line={"color": colour}, marker={"size": 6}, row=1, col=1,
        error_y={"type": "data", "symmetric": False, "array": high - kept,
                 "arrayminus": kept - low, "thickness": 1, "width": 2},
        hovertemplate="promised %{x:.0%}, kept %{y:.1%}<extra></extra>",
    )  # fmt: skip


def _by_certainty(points: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Tenths 1…10 by the predicted deviation, and their MAE over that of all."""
    error = (points["target"] - points["prediction"]).abs()
    order = points["std"].rank(method="first", pct=True)
    tenth = np.ceil(order * 10).astype(int).clip(1, 10)
    means = error.groupby(tenth).mean() / max(float(error.mean()), 1e-300)
    return means.index.to_numpy(), means.to_numpy()
