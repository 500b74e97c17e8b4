"""How often each mixing wins its cell, as figures 4.2b and 4.3 of the thesis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pandas as pd
import plotly.graph_objects as go

from analysis.figures.style import (
    MUTED,
    colour_categories,
    colour_mixings,
    finish,
    label_mixing,
    name_backbone,
    order_mixings,
    panels,
    shorten,
)
from analysis.selection import best_of_cells, done, leaks
from analysis.wins import chance_of_mixings, clusters_of, share_interval

MINIMUM_FOR_LABEL = 0.09


def count_wins(ledger: pd.DataFrame, on: str = "val_error") -> pd.DataFrame:
    """Cells won: columns task, backbone, mixing, wins, cells (of that task and backbone)."""
    won = best_of_cells(ledger, on)
    wins = won.groupby(["task", "backbone", "mixing"]).size().rename("wins").reset_index()
    wins["cells"] = wins.groupby(["task", "backbone"])["wins"].transform("sum")
    return wins


def _by_backbone(
    wins: pd.DataFrame, mixings: list[str], clusters: Mapping[str, int], chance: pd.Series
) -> go.Figure:
    """Bars with 95 % intervals, and chance: the share of each mixing if all are alike."""
    fig = go.Figure()
    backbones = sorted(wins["backbone"].unique())
    colours = colour_categories(backbones)
    for backbone in backbones:
        part = wins[wins["backbone"] == backbone].groupby("mixing")["wins"].sum()
        counts = part.reindex(mixings, fill_value=0)
        share = counts / counts.sum()
        ends = [share_interval(one, clusters[backbone]) for one in share]
        fig.add_bar(
            x=[label_mixing(m) for m in mixings], y=share, name=name_backbone(backbone),
            marker_color=colours[backbone], text=[f"{s:.0%}" if s else "" for s in share],
            textposition="inside", insidetextanchor="start", textangle=0, cliponaxis=False,
            error_y={
                "type": "data", "symmetric": False, "thickness": 1, "width": 3, "color": MUTED,
                "array": [high - s for s, (_, high) in zip(share, ends, strict=True)],
                "arrayminus": [s - low for s, (low, _) in zip(share, ends, strict=True)],
            },
            customdata=[[n, counts.sum()] for n in counts],
            hovertemplate=f"{name_backbone(backbone)}, γ = %{{x}}<br>"
            "%{customdata[0]} of %{customdata[1]} cells (%{y:.1%})<extra></extra>",
        )  # fmt: skip
    fig.add_scatter(
        x=[label_mixing(m) for m in mixings], y=chance.reindex(mixings), name="chance",
        mode="markers", marker={"symbol": "line-ew", "size": 46,
                                "line": {"color": MUTED, "width": 1.5}},
        hovertemplate="chance, γ = %{x}: %{y:.1%}<extra></extra>",
    )  # fmt: skip
    fig.update_layout(barmode="group", bargap=0.25, bargroupgap=0.06, showlegend=True)
    labels = [label_mixing(m) for m in mixings]
    fig.update_xaxes(type="category", categoryorder="array", categoryarray=labels,
                     title_text="mixing γ = log₁₀(learned / handcrafted)")  # fmt: skip
    fig.update_yaxes(title_text="share of cells won", tickformat=".0%", rangemode="tozero")
    fig.update_layout(height=460)
    return fig


def _complete(wins: pd.DataFrame, backbone: str, mixings: list[str]) -> pd.DataFrame:
    """Wins and cells by (mixing, task), with zeros for mixings that never won, for the legend."""
    part = wins[wins["backbone"] == backbone]
    cells = part.groupby("task")["cells"].first()
    every = pd.MultiIndex.from_product([mixings, cells.index], names=["mixing", "task"])
    found = part.set_index(["mixing", "task"])[["wins"]].reindex(every, fill_value=0)
    return found.assign(cells=cells.reindex(found.index.get_level_values("task")).to_numpy())


def _by_task(wins: pd.DataFrame, mixings: list[str]) -> go.Figure:
    tasks, backbones = sorted(wins["task"].unique()), sorted(wins["backbone"].unique())
    fig = panels(
        1, len(backbones), [name_backbone(b) for b in backbones],
        panel_height=max(60, 34 * len(tasks)), horizontal=0.05,
    )  # fmt: skip
    colours = colour_mixings(mixings)
    won = {backbone: _complete(wins, backbone, mixings) for backbone in backbones}
    for column, backbone in enumerate(backbones, 1):
        for mixing in mixings:
            part = won[backbone].loc[mixing]
            share = part["wins"] / part["cells"]
            fig.add_bar(
                x=share, y=[shorten(t, 22) for t in part.index], orientation="h",
                name=label_mixing(mixing), legendgroup=mixing, showlegend=column == 1,
                marker={"color": colours[mixing], "line": {"color": "white", "width": 1}},
                text=[label_mixing(mixing) if s >= MINIMUM_FOR_LABEL else "" for s in share],
                textposition="inside", insidetextanchor="middle", textangle=0,
                customdata=part.reset_index()[["task", "wins", "cells"]].to_numpy(),
                hovertemplate=f"%{{customdata[0]}}, {name_backbone(backbone)}, "
                f"γ = {label_mixing(mixing)}<br>%{{customdata[1]}} of %{{customdata[2]}} cells"
                "<extra></extra>",
                row=1, col=column,
            )  # fmt: skip
    fig.update_layout(barmode="stack", bargap=0.22, showlegend=True)
    fig.update_layout(legend_traceorder="normal", legend_title_text="γ ")
    fig.update_xaxes(
        tickformat=".0%", range=[0, 1.005], dtick=0.25, title_text="share of cells won"
    )
    order = [shorten(t, 22) for t in reversed(tasks)]
    fig.update_yaxes(type="category", categoryorder="array", categoryarray=order)
    for column in range(2, len(backbones) + 1):
        fig.update_yaxes(showticklabels=False, col=column)
    return fig


def _cells(number: int) -> str:
    return "1 cell" if number == 1 else f"{number} cells"


def winners(
    ledger: pd.DataFrame, by: Literal["backbone", "task"] = "backbone", on: str = "val_error"
) -> go.Figure:
    """Share of cells (task, fold, backbone, dim) that each mixing wins, selected on `on`.

    `by="backbone"` compares the backbones over all tasks; `by="task"` shows each task. Raises
    ValueError when no model has finished.
    """
    wins = count_wins(ledger, on)
    mixings = order_mixings(done(ledger, on))
    clusters = {
        str(name): clusters_of(cells)
        for name, cells in best_of_cells(ledger, on).groupby("backbone")
    }
    chance = chance_of_mixings(ledger, on)
    fig = (
        _by_backbone(wins, mixings, clusters, chance)
        if by == "backbone"
        else _by_task(wins, mixings)
    )
    basis = "test error (this leaks the test part)" if leaks(on) else "validation error"
    finish(
        fig,
        title="Which mixing wins" + ("" if by == "backbone" else ", task by task"),
        subtitle=f"{_cells(int(wins['wins'].sum()))} of task, fold, backbone and dimension; "
        f"the lowest {basis} wins"
        + ("; bars: 95 % intervals over tasks, folds and seeds" if by == "backbone" else ""),
    )
    if by == "backbone":
        fig.update_xaxes(showgrid=False)
    return fig
