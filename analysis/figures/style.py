"""The common style of all figures: fonts, layout, and colours for colour-blind readers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

FONT = "Inter, 'Helvetica Neue', Helvetica, Arial, sans-serif"
INK = "#1f2933"
MUTED = "#7b8794"
GRID = "#e4e7eb"
MISSING = "#eceff1"
# Pixels above the panels (title, subtitle, legend, panel titles) and below them.
TOP, BOTTOM = 116, 64

# Okabe & Ito's palette, with a grey in place of its yellow and black.
CATEGORIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
# Blocks of the periodic table.
BLOCK_COLOURS = {"s": "#E69F00", "p": "#009E73", "d": "#0072B2", "f": "#CC79A7"}
# Titles as in trainables/models/backbones.py, which analysis cannot import; a test compares them.
BACKBONES = {
    "cgcnn": "CGCNN",
    "megnet": "MEGNet",
    "schnet": "SchNet",
    "cogn": "coGN",
    "tensor": "Equivariant network",
    "schnet_atoms": "SchNet of all atoms",
}
MIXING_SCALE = ["#2166ac", "#67a9cf", "#87909c", "#f4a582", "#b2182b"]
MINUS = "\N{MINUS SIGN}"


def name_backbone(backbone: str) -> str:
    """Name of a backbone as it is printed."""
    return BACKBONES.get(backbone, backbone)


def colour_backbone(backbone: str) -> str:
    """Colour of a backbone, if it is drawn alone; one colour for all that have no title here."""
    order = [*BACKBONES, backbone]
    return CATEGORIES[order.index(backbone) % len(CATEGORIES)]


def label_mixing(mixing: str) -> str:
    """Label of a mixing: H, L, or the number with a true minus sign."""
    return mixing.replace("-", MINUS)


def explain_mixings(rows: pd.DataFrame) -> str:
    """Lists the mixings of rows in words: `H (handcrafted only), 0 and L (learned only)`."""
    words = {"H": "H (handcrafted only)", "L": "L (learned only)"}
    ordered = [words.get(mixing, label_mixing(mixing)) for mixing in order_mixings(rows)]
    return " and ".join([", ".join(ordered[:-1]), ordered[-1]] if len(ordered) > 1 else ordered)


def order_mixings(rows: pd.DataFrame) -> list[str]:
    """The distinct mixings of rows with columns mixing and gamma, from H over the numbers to L."""
    distinct = rows[["mixing", "gamma"]].drop_duplicates().sort_values("gamma", kind="stable")
    return list(map(str, distinct["mixing"]))


def colour_categories(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name, by order; repeats after six."""
    return {name: CATEGORIES[i % len(CATEGORIES)] for i, name in enumerate(names)}


def _sample(scale: str | list[str], n: int, low: float, high: float) -> list[str]:
    places = [low + (high - low) * (i / (n - 1) if n > 1 else 0.0) for i in range(n)]
    return list(sample_colorscale(scale, places))


def colour_dims(dims: Sequence[int]) -> dict[int, str]:
    """A colour for each dimension, light to dark with size."""
    ordered = sorted(set(dims))
    return dict(zip(ordered, _sample("Viridis_r", len(ordered), 0.18, 0.95), strict=True))


def colour_mixings(ordered: Sequence[str]) -> dict[str, str]:
    """A colour for each mixing of `order_mixings`, blue for handcrafted to red for learned."""
    if len(ordered) == 1:
        return {ordered[0]: MIXING_SCALE[0]}
    return dict(zip(ordered, _sample(MIXING_SCALE, len(ordered), 0.0, 1.0), strict=True))


def fade(colour: str, alpha: float) -> str:
    """`rgba` of a `#rrggbb` or `rgb(...)` colour."""
    if colour.startswith("#"):
        parts = [str(int(colour[i : i + 2], 16)) for i in (1, 3, 5)]
    else:
        parts = colour[colour.index("(") + 1 : colour.index(")")].split(",")[:3]
    return f"rgba({','.join(part.strip() for part in parts)},{alpha})"


def format_value(value: float) -> str:
    """A number with three significant digits or, from 100 on, no decimals."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def shorten(name: str, length: int = 34) -> str:
    """A name that fits over a panel, cut in the middle if it is too long."""
    if len(name) <= length:
        return name
    head = (length - 1) // 2
    return f"{name[:head]}…{name[-(length - 1 - head) :]}"


def units_of(ledger: pd.DataFrame) -> dict[str, str]:
    """Unit of each task's target, empty if the ledger has none."""
    if "unit" not in ledger.columns:
        return dict.fromkeys(ledger["task"].unique(), "")
    first = ledger.groupby("task", sort=False)["unit"].first()
    return {str(task): str(unit) if isinstance(unit, str) else "" for task, unit in first.items()}


def label_axis(name: str, unit: str = "") -> str:
    """Axis title with its unit in brackets."""
    return f"{name} ({unit})" if unit else name


def with_unit(text: str, unit: str = "") -> str:
    """Text that ends in a number, followed by its unit."""
    return f"{text} {unit}" if unit else text


def panels(
    rows: int,
    columns: int,
    titles: Sequence[str],
    *,
    panel_height: int = 230,
    gap: int = 64,
    horizontal: float = 0.09,
) -> go.Figure:
    """Grid of panels with small bold titles, high enough for any number of rows.

    Args:
        panel_height, gap: of a panel, and between rows, in pixels.
        horizontal: between columns, as a fraction of the figure's width.
    """
    inner = rows * panel_height + (rows - 1) * gap
    fig = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=[f"<b>{title}</b>" for title in titles],
        vertical_spacing=gap / inner if rows > 1 else 0,
        horizontal_spacing=horizontal if columns > 1 else 0,
    )
    fig.update_annotations(font={"size": 13, "color": INK})
    fig.update_layout(height=inner + TOP + BOTTOM)
    return fig


@dataclass(frozen=True)
class Panel:
    """One panel of `panels_of`.

    Attributes:
        row, column: its place, from 1.
        rows: of the table, those of its task and backbone; there may be none.
    """

    row: int
    column: int
    task: str
    backbone: str
    rows: pd.DataFrame

    @property
    def at(self) -> dict[str, int]:
        """Its place, as plotly's functions take it."""
        return {"row": self.row, "col": self.column}


def panels_of(
    rows: pd.DataFrame, *, horizontal: float = 0.09
) -> tuple[go.Figure, list[list[Panel]]]:
    """A row of panels per task, a column per backbone, and what each of them shows.

    Args:
        rows: with columns task and backbone.
        horizontal: as for `panels`.
    """
    tasks, backbones = sorted(rows["task"].unique()), sorted(rows["backbone"].unique())
    titles = [f"{shorten(task)} · {name_backbone(name)}" for task in tasks for name in backbones]
    fig = panels(len(tasks), len(backbones), titles, horizontal=horizontal)

    def panel(row: int, task: str, column: int, name: str) -> Panel:
        shown = rows[(rows["task"] == task) & (rows["backbone"] == name)]
        return Panel(row, column, task, name, shown)

    places = [
        [panel(row, task, column, name) for column, name in enumerate(backbones, 1)]
        for row, task in enumerate(tasks, 1)
    ]
    return fig, places


def add_diagonal(fig: go.Figure, row: int, column: int, low: float, high: float) -> list[float]:
    """Draws the diagonal; returns its ends, a little beyond the values."""
    pad = 0.04 * (high - low or 1.0)
    ends = [low - pad, high + pad]
    fig.add_scatter(
        x=ends, y=ends, mode="lines", line={"color": MUTED, "width": 1, "dash": "dot"},
        hoverinfo="skip", showlegend=False, row=row, col=column,
    )  # fmt: skip
    return ends


def add_band(
    fig: go.Figure,
    x: Iterable[Any],
    low: Iterable[float],
    high: Iterable[float],
    fill: str,
    **more: Any,
) -> None:
    """Adds the area between two lines.

    Args:
        fill: its colour.
        more: of the trace: panel and group of the legend.
    """
    places, lower, upper = list(x), list(low), list(high)
    fig.add_scatter(
        x=places + places[::-1], y=upper + lower[::-1], fill="toself", fillcolor=fill,
        mode="lines", line={"width": 0}, hoverinfo="skip", showlegend=False, **more,
    )  # fmt: skip


def finish(
    fig: go.Figure,
    *,
    title: str,
    subtitle: str = "",
    height: int | None = None,
    legend: bool = True,
) -> go.Figure:
    """Applies the common style, title above, legend between title and panels; returns the figure.

    `legend=False` removes the height of the legend.
    """
    top = TOP if legend else TOP - 32
    height = (height or int(fig.layout.height or 520)) - (TOP - top)
    head = f"<b>{title}</b>"
    if subtitle:
        head += f"<br><span style='font-size:12px;color:{MUTED}'>{subtitle}</span>"
    inner = height - top - BOTTOM
    fig.update_layout(
        template="plotly_white",
        title={
            "text": head,
            "x": 0,
            "xref": "container",
            "xanchor": "left",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"l": 14, "t": 14},
            "font": {"size": 17, "color": INK},
        },
        font={"family": FONT, "size": 12, "color": INK},
        height=height,
        margin={"l": 76, "r": 30, "t": top, "b": BOTTOM},
        hoverlabel={"font": {"family": FONT, "size": 12}},
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1 + 24 / inner,
            "yanchor": "bottom",
        },
    )
    axis = {"gridcolor": GRID, "linecolor": MUTED, "zeroline": False, "automargin": True}
    fig.update_xaxes(**axis, ticks="outside", tickcolor=MUTED, ticklen=4)
    fig.update_yaxes(**axis)
    return fig
