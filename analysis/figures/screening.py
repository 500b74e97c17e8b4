"""How much composition alone explains (figure 3.8 of the thesis); correlations of relations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.figures.style import CATEGORIES, GRID, MUTED, finish, panels, shorten
from analysis.screening import LEAST_COVERED


def composition_bars(screened: pd.DataFrame) -> go.Figure:
    """R² (or balanced accuracy) and share of the way to the best model, one bar per data set.

    Args:
        screened: task, explained, covered (NaN where no model is known), enters.
    """
    ordered = screened.sort_values("explained")
    names = [shorten(task, 24) for task in ordered["task"]]
    colours = [CATEGORIES[0] if enters else GRID for enters in ordered["enters"]]
    fig = panels(
        1, 2, ["variance explained (R²)", "way from the mean to the best model"],
        panel_height=70 + 30 * len(names), horizontal=0.04,
    )  # fmt: skip
    for column, values in enumerate((ordered["explained"], ordered["covered"]), 1):
        fig.add_bar(
            x=values, y=names, orientation="h", row=1, col=column, showlegend=False,
            marker={"color": colours, "line": {"color": MUTED, "width": 1}},
            text=[f"{value:.2f}" if np.isfinite(value) else "" for value in values],
            textposition="outside", cliponaxis=False,
            hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        )  # fmt: skip
    fig.add_vline(x=LEAST_COVERED, line={"dash": "dot", "color": MUTED}, row=1, col=2)
    finish(
        fig,
        title="What composition alone tells",
        subtitle="random forest on shares of the elements; filled: its models enter what follows",
        legend=False,
    )
    fig.update_xaxes(range=[min(0.0, float(ordered["explained"].min()) - 0.1), 1.15])
    fig.update_yaxes(showticklabels=False, col=2)
    return fig


def relation_map(compared: pd.DataFrame) -> go.Figure:
    """Spearman's correlation between all pairs of relations of the elements.

    Args:
        compared: one, other, elements, correlation, p.
    """
    names = list(dict.fromkeys([*compared["one"], *compared["other"]]))
    square = pd.DataFrame(np.nan, index=names, columns=names)
    for row in compared.itertuples():
        square.loc[row.one, row.other] = square.loc[row.other, row.one] = row.correlation
    fig = go.Figure()
    fig.add_heatmap(
        z=square.to_numpy(), x=names, y=names, colorscale="Blues", zmin=0, zmax=1, xgap=2, ygap=2,
        texttemplate="%{z:.2f}", hoverongaps=False,
        hovertemplate="%{y} – %{x}: %{z:.3f}<extra></extra>",
        colorbar={"title": {"text": "Spearman", "side": "right"}, "thickness": 12,
                  "outlinewidth": 0},
    )  # fmt: skip
    finish(
        fig,
        title="How alike the relations are",
        subtitle=f"Mantel correlation on {int(compared['elements'].max())} elements that all have",
        height=220 + 46 * len(names),
        legend=False,
    )
    fig.update_xaxes(showgrid=False, tickangle=-30)
    fig.update_yaxes(showgrid=False, autorange="reversed")
    return fig
