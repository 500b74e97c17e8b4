"""A one-dimensional scale of the elements, and the relations it was made from."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.elements import NUMBERS, block
from analysis.figures.style import (
    BLOCK_COLOURS,
    CATEGORIES,
    GRID,
    INK,
    MISSING,
    MUTED,
    TOP,
    finish,
    format_value,
    panels,
)
from analysis.scale.gaps import rescaled

# Width of a symbol, as a share of a row's length.
SYMBOL_WIDTH = 0.021
ROWS = 5


def _lanes(positions: Sequence[float], width: float) -> list[int]:
    """For each position, ascending, the lowest lane where its symbol overlaps no earlier one."""
    ends: list[float] = []
    lanes = []
    for position in positions:
        free = (lane for lane, end in enumerate(ends) if end <= position)
        lane = next(free, len(ends))
        if lane == len(ends):
            ends.append(0.0)
        ends[lane] = position + width
        lanes.append(lane)
    return lanes


class _Placed(NamedTuple):
    """A symbol at (x, y) of the picture, on a stem that starts at the base of its row."""

    symbol: str
    position: float
    x: float
    base: float
    y: float


def _draw_axes(fig: go.Figure, baselines: np.ndarray, low: float, length: float) -> None:
    """Draws a line for each row, with the positions of its ends."""
    for row, base in enumerate(baselines):
        start = low + row * length
        fig.add_shape(type="line", x0=0, x1=length, y0=base, y1=base, line={"color": MUTED})
        for x, value, anchor in ((0.0, start, "left"), (length, start + length, "right")):
            fig.add_annotation(
                x=x, y=base, text=format_value(value), showarrow=False, xanchor=anchor,
                yanchor="top", font={"size": 10, "color": MUTED},
            )  # fmt: skip


def _add_block(fig: go.Figure, name: str, placed: Sequence[_Placed]) -> None:
    """Draws the symbols of one block, their stems and their entry in the legend."""
    if not placed:
        return
    fig.add_scatter(
        x=[x for one in placed for x in (one.x, one.x, None)],
        y=[y for one in placed for y in (one.base, one.y + 0.2, None)],
        mode="lines", line={"color": BLOCK_COLOURS[name], "width": 1},
        showlegend=False, hoverinfo="skip",
    )  # fmt: skip
    fig.add_scatter(
        x=[one.x for one in placed], y=[one.y for one in placed], mode="text",
        text=[f"<b>{one.symbol}</b>" for one in placed],
        textfont={"color": BLOCK_COLOURS[name], "size": 13},
        customdata=[[one.symbol, one.position] for one in placed],
        hovertemplate="%{customdata[0]}: %{customdata[1]:.3f}<extra></extra>",
        showlegend=False,
    )  # fmt: skip
    fig.add_scatter(
        x=[None], y=[None], mode="markers", name=f"{name} block",
        marker={"symbol": "square", "size": 11, "color": BLOCK_COLOURS[name]},
    )  # fmt: skip


def scale_line(positions: Mapping[str, float], rows: int = ROWS) -> go.Figure:
    """The axis in rows, read like text; symbols coloured by block, crowded ones stacked.

    Args:
        positions: symbol -> position.
        rows: of the picture.

    Raises:
        ValueError: fewer than two elements.
    """
    if len(positions) < 2:
        raise ValueError("a scale needs two elements")
    ordered = sorted(positions.items(), key=lambda item: item[1])
    low, high = ordered[0][1], ordered[-1][1]
    length = (high - low) / rows or 1.0
    by_row: list[list[tuple[str, float]]] = [[] for _ in range(rows)]
    for symbol, position in ordered:
        row = min(rows - 1, int((position - low) / length))
        by_row[row].append((symbol, position - low - row * length))
    lanes = [_lanes([x for _, x in row], SYMBOL_WIDTH * length) for row in by_row]
    heights = [1.6 + 0.62 * max(lane, default=0) for lane in lanes]
    baselines = np.cumsum([0.0, *heights[:-1]]) + np.array(heights)
    placed = [
        _Placed(symbol, positions[symbol], x, base, base - 0.42 - 0.62 * lane)
        for row, base, lane_of in zip(by_row, baselines, lanes, strict=True)
        for (symbol, x), lane in zip(row, lane_of, strict=True)
    ]
    fig = go.Figure()
    _draw_axes(fig, baselines, low, length)
    for name in BLOCK_COLOURS:
        _add_block(fig, name, [one for one in placed if block(NUMBERS[one.symbol]) == name])
    finish(
        fig,
        title="The elements on one axis",
        subtitle=f"{len(positions)} elements, row after row",
        height=TOP + 64 + round(46 * float(sum(heights))),
    )
    hidden = {"showgrid": False, "showticklabels": False, "ticks": "", "showline": False}
    fig.update_xaxes(**hidden, range=[-0.02 * length, 1.02 * length])
    fig.update_yaxes(**hidden, range=[float(baselines[-1]) + 0.5, 0.3])
    fig.update_layout(margin={"l": 20, "r": 20, "b": 20})
    return fig


def relation_maps(
    symbols: Sequence[str], replaceability_nn: np.ndarray, distances_nn: np.ndarray
) -> go.Figure:
    """Two maps side by side: log₁₀ S, with unobserved pairs grey, and log₁₀ of the distance."""
    n = len(symbols)
    fig = make_subplots(
        rows=1,
        cols=2,
        horizontal_spacing=0.14,
        subplot_titles=["<b>replaceability S</b>", "<b>chemical distance d</b>"],
    )
    fig.update_annotations(font={"size": 13, "color": INK})
    pairs = [[f"{a} → {b}" for b in symbols] for a in symbols]
    shown = ((replaceability_nn, "Blues", 0.43), (distances_nn, "Viridis_r", 1.0))
    for column, (values, colours, bar) in enumerate(shown, 1):
        with np.errstate(divide="ignore", invalid="ignore"):
            logarithms = np.where(values > 0, np.log10(values), np.nan)
        np.fill_diagonal(logarithms, np.nan)
        fig.add_heatmap(
            z=logarithms, x=list(range(n)), y=list(range(n)), colorscale=colours,
            hoverongaps=False, row=1, col=column, customdata=pairs, text=values,
            hovertemplate="%{customdata}: %{text:.3g}<extra></extra>",
            colorbar={"title": {"text": "log₁₀"}, "thickness": 12, "len": 0.7, "x": bar,
                      "outlinewidth": 0},
        )  # fmt: skip
    every = max(1, math.ceil(n / 24))
    ticks = {
        "tickvals": list(range(0, n, every)), "ticktext": list(symbols)[::every],
        "tickfont": {"size": 9, "color": INK}, "tickangle": 0, "showgrid": False,
    }  # fmt: skip
    finish(
        fig,
        title="How readily elements replace each other",
        subtitle=f"{n} elements in order of atomic number; grey: never seen",
        height=560,
        legend=False,
    )
    fig.update_xaxes(**ticks, constrain="domain")
    for axis in ("x", "x2"):
        place = axis.removeprefix("x")
        fig.update_layout({f"yaxis{place}": ticks | {"scaleanchor": axis, "autorange": "reversed"}})
    fig.update_layout(plot_bgcolor=MISSING)
    return fig


def gap_bars(symbols: Sequence[str], gaps: Mapping[float, Sequence[float]]) -> go.Figure:
    """Gaps between neighbours, in proportion to an even scale; a panel for each λ.

    Args:
        symbols: in the order of the scale.
        gaps: λ -> gaps, one fewer than symbols.
    """
    between = [f"{a}–{b}" for a, b in itertools.pairwise(symbols)]
    columns = 2 if len(gaps) > 1 else 1
    rows = math.ceil(len(gaps) / columns)
    titles = [f"λ = {lam:g}" for lam in gaps]
    fig = panels(rows, columns, titles, panel_height=130, gap=48, horizontal=0.06)
    for place, values in enumerate(gaps.values()):
        fig.add_bar(
            x=list(range(len(between))), y=rescaled(np.asarray(values, dtype=np.float64)),
            marker={"color": CATEGORIES[0], "line": {"width": 0}}, showlegend=False,
            customdata=between, hovertemplate="%{customdata}: %{y:.3f}<extra></extra>",
            row=place // columns + 1, col=place % columns + 1,
        )  # fmt: skip
    finish(fig, title="Gaps between neighbours", subtitle="1 is an even scale", legend=False)
    every = max(1, math.ceil(len(symbols) / 16))
    fig.update_xaxes(
        tickvals=list(range(0, len(between), every)),
        ticktext=list(symbols)[::every],
        tickangle=0,
        tickfont={"size": 10},
        showgrid=False,
    )
    fig.update_layout(bargap=0.08)
    return fig


def pareto_front(front: pd.DataFrame) -> go.Figure:
    """Crowding against pull with the hull, and the variance of the gaps against λ.

    Args:
        front: lambda, source (grid, refined, optuna), pull, crowding, on_hull, variance, chosen.
    """
    fig = panels(1, 2, ["the front", "how uneven the scale is"], panel_height=380, horizontal=0.1)
    looks = {
        "optuna": ("Optuna, λ and η", MUTED, 5),
        "refined": ("added where it bends", CATEGORIES[5], 7),
        "grid": ("asked for", CATEGORIES[0], 9),
    }
    hull = front[front["on_hull"]].sort_values("pull")
    fig.add_scatter(
        x=hull["pull"], y=hull["crowding"], mode="lines", name="convex hull",
        line={"color": GRID, "width": 3}, hoverinfo="skip", row=1, col=1,
    )  # fmt: skip
    for source, (name, colour, size) in looks.items():
        rows = front[front["source"] == source]
        if rows.empty:
            continue
        marker = {"color": colour, "size": size}
        labels = [f"{lam:g}" if source == "grid" else "" for lam in rows["lambda"]]
        fig.add_scatter(
            x=rows["pull"], y=rows["crowding"], mode="markers+text", name=name, marker=marker,
            text=labels, textposition="top right", textfont={"size": 10, "color": MUTED},
            customdata=rows[["lambda", "eta"]],
            hovertemplate="λ %{customdata[0]:.4g}, η %{customdata[1]:.3g}: %{x:.4g}, %{y:.4g}"
            "<extra></extra>", row=1, col=1,
        )  # fmt: skip
        fig.add_scatter(
            x=rows["lambda"], y=rows["variance"], mode="markers", marker=marker, showlegend=False,
            hovertemplate="λ %{x:.4g}: %{y:.4g}<extra></extra>", row=1, col=2,
        )  # fmt: skip
    ring = {"size": 17, "color": "rgba(0,0,0,0)", "line": {"color": CATEGORIES[1], "width": 2.5}}
    chosen = front[front["chosen"]]
    for column, (x, y) in enumerate((("pull", "crowding"), ("lambda", "variance")), 1):
        fig.add_scatter(
            x=chosen[x], y=chosen[y], mode="markers", marker=ring, name="taken",
            showlegend=column == 1, hoverinfo="skip", row=1, col=column,
        )  # fmt: skip
    fig.update_xaxes(title_text="pull Σ S·D (similar elements apart)", row=1, col=1)
    fig.update_yaxes(title_text="crowding Σ 1/D", row=1, col=1)
    fig.update_xaxes(title_text="λ", type="log", row=1, col=2)
    fig.update_yaxes(title_text="variance of the gaps", type="log", row=1, col=2)
    return finish(fig, title="Pull against crowding", subtitle="numbers are λ")
