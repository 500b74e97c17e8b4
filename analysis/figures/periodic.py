"""A value per element on the 18-column periodic table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from analysis.elements import MAX_Z, SYMBOLS, place
from analysis.figures.style import MISSING, MUTED, finish, format_value

ROWS, COLUMNS = 10, 18
# Edges of the rows: seven periods, a narrow gap, the two f rows.
EDGES = [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 7.85, 8.85, 9.85]


def _cell(z: int) -> tuple[int, int]:
    """Row and column of element Z in the [10, 18] grid of tiles."""
    row, column = place(z)
    return row - 1 + (row > 7), column - 1


def _scale(value: float, logarithmic: bool) -> float:
    return math.log10(value) if logarithmic else value


def _choose_ticks(low: float, high: float, logarithmic: bool) -> list[float]:
    """Values labelled at the colour bar: the ends, and decades or quarters between them."""
    if not high > low:
        return [high]
    if not logarithmic:
        return [float(tick) for tick in np.linspace(low, high, 5)]
    decades = [10.0**e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)))]
    return [low, *(tick for tick in decades if 3 * low < tick < high / 4), high]


def fill_tiles(texts: Mapping[int, str], values: Mapping[int, float]) -> dict[str, list[list]]:
    """`z`, `text` and `customdata` grids for a heat map; None where there is no element."""
    grids: dict[str, list[list]] = {
        name: [[None] * COLUMNS for _ in range(ROWS)] for name in ("z", "text", "customdata")
    }
    for z, value in values.items():
        row, column = _cell(z)
        grids["z"][row][column] = value
        grids["text"][row][column] = texts[z]
        grids["customdata"][row][column] = f"{SYMBOLS[z]} (Z = {z})"
    for name in ("text", "customdata"):
        grids[name] = [[cell or "" for cell in row] for row in grids[name]]
    return grids


def _add_present(
    fig: go.Figure,
    known: Mapping[int, float],
    texts: Mapping[int, str],
    grid: Mapping[str, Any],
    colour_scale: str,
    unit: str,
    logarithmic: bool,
    limits: tuple[float, float] | None,
) -> None:
    low, high = limits or (min(known.values()), max(known.values()))
    ticks = _choose_ticks(low, high, logarithmic)
    scaled = {z: _scale(v, logarithmic) for z, v in known.items()}
    label = {z: f"{known[z]:.6g} {unit}".rstrip() for z in known}
    tiles = fill_tiles(texts, scaled)
    for z in known:
        row, column = _cell(z)
        tiles["customdata"][row][column] += f": {label[z]}"
    bottom, top = _scale(low, logarithmic), _scale(high, logarithmic)
    fig.add_heatmap(
        **tiles, **grid, colorscale=colour_scale, name="present",
        # The palest tenth of the scale would look like an absent element.
        zmin=bottom - 0.12 * (top - bottom) if top > bottom else bottom - 1,
        zmax=top if top > bottom else bottom + 0.5, showscale=top > bottom,
        hovertemplate="%{customdata}<extra></extra>",
        colorbar={
            "title": {"text": unit, "side": "top", "font": {"size": 12}}, "tickangle": 0,
            "orientation": "h", "thickness": 10,
            "len": 0.42, "x": 0.4, "xanchor": "center", "y": 0.84, "yanchor": "middle",
            "tickvals": [_scale(tick, logarithmic) for tick in ticks],
            "ticktext": [format_value(tick) for tick in ticks], "outlinewidth": 0,
        },
    )  # fmt: skip


def periodic_table(
    values: Mapping[int, float],
    text: Mapping[int, str] | None = None,
    title: str = "Elements covered",
    colour_scale: str = "Blues",
    unit: str = "",
    logarithmic: bool = False,
    subtitle: str = "",
    limits: tuple[float, float] | None = None,
) -> go.Figure:
    """Periodic table coloured by a number; elements without one are grey.

    Args:
        values: Z -> number.
        text: Z -> text under the symbol, by default the value.
        logarithmic: colours by the logarithm; values that are not positive then count as absent.
        limits: ends of the colours; those of the values unless given.

    Raises:
        ValueError: a number that is no element.
    """
    wrong = [z for z in values if not 1 <= z <= MAX_Z]
    if wrong:
        raise ValueError(f"{wrong[0]} is not an atomic number in 1-{MAX_Z}")
    known = {
        int(z): float(v)
        for z, v in values.items()
        if math.isfinite(v) and (v > 0 or not logarithmic)
    }
    below = text if text is not None else {z: format_value(v) for z, v in known.items()}
    texts = {
        z: f"<span style='font-size:8px'>{z}</span><br><b>{SYMBOLS[z]}</b><br>"
        f"<span style='font-size:9px'>{below.get(z, '') if z in known else ''}</span>"
        for z in range(1, MAX_Z + 1)
    }
    grid: dict[str, Any] = {"x": list(range(1, COLUMNS + 1)), "y": EDGES, "xgap": 2, "ygap": 2}
    grid |= {"texttemplate": "%{text}", "textfont": {"size": 13}, "hoverongaps": False}
    fig = go.Figure()
    absent = {z: 0.0 for z in range(1, MAX_Z + 1) if z not in known}
    fig.add_heatmap(
        **fill_tiles(texts, absent), **grid | {"textfont": {"size": 13, "color": MUTED}},
        colorscale=[[0, MISSING], [1, MISSING]], showscale=False, name="absent",
        hovertemplate="%{customdata}: none<extra></extra>",
    )  # fmt: skip
    if known:
        _add_present(fig, known, texts, grid, colour_scale, unit, logarithmic, limits)
    note = f"{len(known)} of {MAX_Z} elements" + (", logarithmic colours" if logarithmic else "")
    finish(fig, title=title, subtitle=f"{subtitle}; {note}" if subtitle else note, height=590)
    lay_out(fig)
    return fig


def lay_out(fig: go.Figure) -> None:
    """Hides the axes; puts group numbers above the columns and period numbers beside the f rows."""
    hidden = {"showgrid": False, "showticklabels": False, "ticks": "", "showline": False}
    fig.update_xaxes(**hidden, range=[0.4, COLUMNS + 0.6])
    fig.update_yaxes(**hidden, range=[EDGES[-1] + 0.1, 0.1])
    fig.update_layout(plot_bgcolor="white", margin={"t": 66, "b": 16, "l": 20, "r": 20})
    font = {"size": 10, "color": MUTED}
    first = {1: 1, 2: 2, **dict.fromkeys(range(3, 13), 4), **dict.fromkeys(range(13, 18), 2), 18: 1}
    for group, row in first.items():
        fig.add_annotation(
            x=group, y=row - 0.5, yanchor="bottom", text=str(group), showarrow=False, font=font
        )
    for y, text in ((8.35, "6"), (9.35, "7")):
        fig.add_annotation(x=3.2, y=y, text=text, showarrow=False, font=font)
