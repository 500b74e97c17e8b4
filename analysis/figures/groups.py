"""Clusters and groups of elements on the periodic table, as figures 3.11 and 3.12 of the thesis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import plotly.graph_objects as go
from plotly.colors import qualitative, unlabel_rgb

from analysis.elements import MAX_Z, SYMBOLS
from analysis.figures.periodic import COLUMNS, EDGES, fill_tiles, lay_out
from analysis.figures.style import INK, MISSING, MUTED, finish

# Made pale, so that the symbols on them are legible; black would look like an absent element.
HUES = [colour for colour in qualitative.Dark24 if colour != "#222A2A"]
PALE = 0.5
ALONE = "rgb(252,250,242)"


def _pale(colour: str) -> str:
    red, green, blue = (
        (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        if colour.startswith("#")
        else unlabel_rgb(colour)
    )
    return "rgb({:.0f},{:.0f},{:.0f})".format(
        *(255 - (255 - part) * (1 - PALE) for part in (red, green, blue))
    )


def cluster_colours(sizes: Sequence[int]) -> list[str]:
    """A pale colour for each cluster of two or more elements; they repeat after 23."""
    hues = cycle([_pale(colour) for colour in HUES])
    return [next(hues) if size > 1 else ALONE for size in sizes]


def _steps(colours: Sequence[str]) -> list[list[Any]]:
    """A colour scale of flat steps."""
    count = len(colours)
    ends = ((place / count, (place + 1) / count) for place in range(count))
    return [[end, colour] for colour, pair in zip(colours, ends, strict=True) for end in pair]


def cluster_table(
    clusters: Mapping[int, int],
    below: Mapping[int, str],
    title: str,
    subtitle: str = "",
) -> go.Figure:
    """Periodic table coloured by cluster.

    An element in no cluster is grey, one that is alone in its cluster nearly white.

    Args:
        clusters: Z -> 1, 2, …
        below: Z -> text under the symbol.

    Raises:
        ValueError: no element is in a cluster.
    """
    if not clusters:
        raise ValueError("no element is in a cluster")
    count = max(clusters.values())
    members = Counter(clusters.values())
    sizes = [members[cluster] for cluster in range(1, count + 1)]
    texts = {
        z: f"<span style='font-size:8px'>{z}</span><br><b>{SYMBOLS[z]}</b><br>"
        f"<span style='font-size:9px'>{below.get(z, '') if z in clusters else ''}</span>"
        for z in range(1, MAX_Z + 1)
    }
    grid: dict[str, Any] = {"x": list(range(1, COLUMNS + 1)), "y": EDGES, "xgap": 2, "ygap": 2}
    grid |= {"texttemplate": "%{text}", "hoverongaps": False, "showscale": False}
    absent = {z: 0.0 for z in range(1, MAX_Z + 1) if z not in clusters}
    fig = go.Figure()
    fig.add_heatmap(
        **fill_tiles(texts, absent), **grid, textfont={"size": 13, "color": MUTED},
        colorscale=[[0, MISSING], [1, MISSING]],
        hovertemplate="%{customdata}: in no model<extra></extra>",
    )  # fmt: skip
    fig.add_heatmap(
        **fill_tiles(texts, {z: float(one) for z, one in clusters.items()}), **grid,
        textfont={"size": 13, "color": INK}, colorscale=_steps(cluster_colours(sizes)),
        zmin=0.5, zmax=count + 0.5,
        hovertemplate="%{customdata}: cluster %{z:.0f}, %{text}<extra></extra>",
    )  # fmt: skip
    finish(fig, title=title, subtitle=subtitle, height=590, legend=False)
    lay_out(fig)
    return fig
