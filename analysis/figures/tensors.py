"""Tensors: principal values predicted against true ones, and a modulus in all directions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.figures.style import (
    INK,
    add_diagonal,
    colour_backbone,
    finish,
    label_axis,
    name_backbone,
    panels,
    shorten,
)

MAX_POINTS = 3000
COLUMNS = 3


def principal(values: pd.DataFrame) -> go.Figure:
    """Predicted against true principal values on logarithmic axes, a panel a task.

    Args:
        values: with task, backbone, id, true, predicted, unit and name (of the values). Those that
            are not positive have no place on such axes, and are counted in the panel.
    """
    tasks = list(values["task"].unique())
    columns = min(COLUMNS, len(tasks))
    titles = [shorten(str(task), 90 // columns) for task in tasks]
    fig = panels(-(-len(tasks) // columns), columns, titles, panel_height=330, gap=100)
    for index, task in enumerate(tasks):
        own = values[values["task"] == task]
        _add_panel(fig, index // columns + 1, index % columns + 1, own)
    return finish(
        fig,
        title="Predicted against true principal values on the test parts",
        subtitle="per task the configuration that validation picks, all its folds;"
        f" at most {MAX_POINTS:,} values drawn",
        legend=False,
    )


def _add_panel(fig: go.Figure, row: int, column: int, own: pd.DataFrame) -> None:
    first = own.iloc[0]
    kept = own[(own["true"] > 0) & (own["predicted"] > 0)]
    drawn = kept.iloc[np.linspace(0, len(kept) - 1, min(len(kept), MAX_POINTS)).astype(int)]
    if len(drawn):
        both = drawn[["true", "predicted"]].to_numpy(float)
        ends = [float(both.min()) / 1.1, float(both.max()) * 1.1]
        add_diagonal(fig, row, column, *ends)
        span = [float(np.log10(end)) for end in ends]
        fig.update_xaxes(type="log", range=span, row=row, col=column)
        fig.update_yaxes(type="log", range=span, row=row, col=column)
    fig.add_scatter(
        x=drawn["true"], y=drawn["predicted"], mode="markers", showlegend=False,
        marker={"size": 4, "opacity": 0.4, "color": colour_backbone(first["backbone"])},
        customdata=drawn[["id"]].to_numpy(), row=row, col=column,
        hovertemplate="%{customdata[0]}<br>true %{x:.4g}, predicted %{y:.4g}<extra></extra>",
    )  # fmt: skip
    left = len(own) - len(kept)
    lacking = f"<br>{left} of {len(own)} not positive" if left else ""
    fig.add_annotation(
        x=0.03, xref="x domain", y=0.97, yref="y domain", xanchor="left", yanchor="top",
        align="left", showarrow=False, font={"size": 11}, row=row, col=column,
        text=f"{name_backbone(first['backbone'])}{lacking}",
    )  # fmt: skip
    name = str(first["name"])
    fig.update_xaxes(title_text=label_axis(f"true {name}", first["unit"]), row=row, col=column)
    if column == 1:
        text = label_axis(f"predicted {name}", first["unit"])
        fig.update_yaxes(title_text=text, row=row, col=column)


def surfaces(directions: np.ndarray, moduli: Mapping[str, np.ndarray], name: str) -> go.Figure:
    """Surfaces whose distance from the origin is a modulus in that direction, side by side.

    Args:
        directions: [T, U, 3] unit vectors.
        moduli: [T, U] by what they are called.
        name: of the crystal.
    """
    fig = make_subplots(
        rows=1,
        cols=len(moduli),
        specs=[[{"type": "surface"}] * len(moduli)],
        subplot_titles=[f"<b>{one}</b>" for one in moduli],
    )
    largest = max(float(values.max()) for values in moduli.values())
    least = min(float(values.min()) for values in moduli.values())
    for column, values in enumerate(moduli.values(), 1):
        x, y, z = np.moveaxis(directions * values[..., None], -1, 0)
        fig.add_surface(
            x=x, y=y, z=z, surfacecolor=values, cmin=least, cmax=largest, colorscale="Viridis",
            showscale=column == len(moduli), row=1, col=column,
            hovertemplate="%{surfacecolor:.4g}<extra></extra>",
        )  # fmt: skip
    axis = {"range": [-largest, largest], "title": ""}
    fig.update_scenes(xaxis=axis, yaxis=axis, zaxis=axis, aspectmode="cube")
    fig.update_annotations(font={"size": 13, "color": INK})
    return finish(
        fig,
        title=f"Young's modulus of {name} in all directions",
        subtitle="in the axes and the unit of the data",
        height=520,
        legend=False,
    )
