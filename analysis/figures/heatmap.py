"""Cosine distances between elements in order of Z, as figure 4.7 of the thesis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from analysis.elements import NUMBERS, block, period
from analysis.figures.style import BLOCK_COLOURS, GRID, INK, MISSING, MUTED, finish, format_value

SCALE = "Viridis"
# The share of the closest pairs that the upper triangle shows by default.
DEFAULT_SHARE = 0.2
# Distance of the block strips from the map and their width, as shares of the map.
GAP, STRIP = 0.005, 0.012


def _runs(labels: Sequence[object]) -> list[tuple[object, int, int]]:
    """Stretches of equal labels: (label, first, last)."""
    found: list[tuple[object, int, int]] = []
    for i, label in enumerate(labels):
        if found and found[-1][0] == label:
            found[-1] = (label, found[-1][1], i)
        else:
            found.append((label, i, i))
    return found


def choose_cut(distances_nn: np.ndarray) -> float:
    """Distance below which a fifth of the pairs lie, to two digits; 0 when no pair is known."""
    known = distances_nn[np.triu_indices(len(distances_nn), k=1)]
    known = known[np.isfinite(known)]
    return float(f"{np.quantile(known, DEFAULT_SHARE):.2g}") if known.size else 0.0


def _mark_blocks(fig: go.Figure, numbers: list[int]) -> None:
    """Strips of block colour along both axes, lines and names at the periods."""
    n = len(numbers)
    near, far = -0.5 - GAP * n, -0.5 - (GAP + STRIP) * n
    for name, first, last in _runs([block(z) for z in numbers]):
        box = {"fillcolor": BLOCK_COLOURS[str(name)], "line_width": 0, "layer": "above"}
        fig.add_shape(x0=first - 0.5, x1=last + 0.5, y0=far, y1=near, **box)
        fig.add_shape(y0=first - 0.5, y1=last + 0.5, x0=far, x1=near, **box)
    line = {"color": "white", "width": 1.2}
    for number, first, last in _runs([period(z) for z in numbers]):
        if first:
            fig.add_shape(x0=first - 0.5, x1=first - 0.5, y0=-0.5, y1=n - 0.5, line=line)
            fig.add_shape(y0=first - 0.5, y1=first - 0.5, x0=-0.5, x1=n - 0.5, line=line)
        if last - first >= 0.035 * n:
            long = last - first >= 0.09 * n
            fig.add_annotation(
                x=(first + last) / 2, y=far, yanchor="bottom", showarrow=False,
                text=f"period {number}" if long else f"{number}",
                font={"size": 11, "color": MUTED},
            )  # fmt: skip
    present = {block(z) for z in numbers}
    for name, colour in BLOCK_COLOURS.items():
        if name not in present:
            continue
        fig.add_scatter(
            x=[None], y=[None], mode="markers", name=f"{name} block",
            marker={"symbol": "square", "size": 11, "color": colour},
        )  # fmt: skip


def _label_axes(fig: go.Figure, names: Sequence[str]) -> None:
    """Symbols along both axes, on a square map."""
    n = len(names)
    margin = 0.5 + 0.035 * n
    dense = n > 45
    size = 8 if dense else 10
    ticks = {
        "tickvals": list(range(n)), "ticktext": names, "tickfont": {"size": size, "color": INK},
        "showgrid": False, "ticks": "", "showline": False, "tickangle": 0,
    }  # fmt: skip
    fig.update_xaxes(**ticks, range=[-margin, n - 0.4], constrain="domain")
    if dense:
        # Every second symbol on a second line, as neighbours would overlap.
        fig.update_xaxes(ticktext=[f"<br>{s}" if i % 2 else s for i, s in enumerate(names)])
    fig.update_yaxes(
        **ticks, range=[n - 0.4, -margin], scaleanchor="x", constrain="domain",
        constraintoward="top",
    )  # fmt: skip


def _by_number(distances_nn: np.ndarray, symbols: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Distances and symbols in order of atomic number."""
    unknown = [symbol for symbol in symbols if symbol not in NUMBERS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not the symbol of an element")
    n = len(symbols)
    if distances_nn.shape != (n, n) or not n:
        raise ValueError(f"distances have shape {distances_nn.shape} for {n} symbols")
    order = np.argsort([NUMBERS[symbol] for symbol in symbols], kind="stable")
    distances = np.asarray(distances_nn, dtype=float)[np.ix_(order, order)]
    return distances, [symbols[i] for i in order]


def _add_map(fig: go.Figure, distances: np.ndarray, names: Sequence[str], cut: float) -> None:
    """All pairs below the diagonal, those under the cut above it."""
    n = len(names)
    shown = distances.copy()
    shown[np.triu(np.ones((n, n), dtype=bool), k=1) & ~(distances < cut)] = np.nan
    np.fill_diagonal(shown, np.nan)
    fig.add_heatmap(
        z=shown, x=list(range(n)), y=list(range(n)), colorscale=SCALE, hoverongaps=False,
        zmin=float(np.nanmin(shown)) if np.isfinite(shown).any() else 0.0,
        zmax=float(np.nanmax(shown)) if np.isfinite(shown).any() else 1.0,
        customdata=[[f"{a} – {b}" for b in names] for a in names],
        hovertemplate="%{customdata}: %{z:.3f}<extra></extra>",
        colorbar={"title": {"text": "distance", "side": "right"}, "thickness": 14, "len": 0.6,
                  "outlinewidth": 0},
    )  # fmt: skip


def cosine_heatmap(
    distances_nn: np.ndarray,
    symbols: Sequence[str],
    cut: float | None = None,
    title: str = "Cosine distances between the elements",
) -> go.Figure:
    """Heat map of distances: below the diagonal all pairs, above only those under a cut.

    Rows and columns are sorted by atomic number. A pair that no model has is grey.

    Args:
        distances_nn: NaN where no model has both.
        symbols: of the rows [n].
        cut: None for the distance below which a fifth of the pairs lie.

    Raises:
        ValueError: an unknown symbol, or a matrix that does not fit the symbols.
    """
    distances, names = _by_number(distances_nn, symbols)
    n = len(names)
    cut = choose_cut(distances) if cut is None else cut
    fig = go.Figure()
    _add_map(fig, distances, names, cut)
    _mark_blocks(fig, [NUMBERS[name] for name in names])
    unknown_pairs = not np.isfinite(distances[np.tril_indices(n, k=-1)]).all()
    finish(
        fig,
        title=title,
        subtitle=f"{n} elements in order of atomic number; below the diagonal all pairs"
        + (" (grey: no model has both)" if unknown_pairs else "")
        + f", above it those under {format_value(cut)}",
        height=min(1010, 480 + 7 * n),
    )
    _label_axes(fig, names)
    fig.update_layout(plot_bgcolor="white")
    fig.add_shape(
        x0=-0.5, x1=n - 0.5, y0=-0.5, y1=n - 0.5, fillcolor=MISSING, layer="below",
        line={"color": GRID, "width": 1},
    )  # fmt: skip
    return fig
