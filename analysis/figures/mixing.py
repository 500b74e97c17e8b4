"""Error against the mixing of the two element channels, as figure 4.2a of the thesis."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import pandas as pd
import plotly.graph_objects as go

from analysis.figures.style import (
    INK,
    MUTED,
    add_band,
    colour_dims,
    fade,
    finish,
    format_value,
    label_axis,
    label_mixing,
    order_mixings,
    panels_of,
    units_of,
    with_unit,
)
from analysis.leaderboard import at_best_setting, best_by_validation
from analysis.metrics import ABSOLUTE, metrics_of, name_errors

References = Mapping[str, Mapping[str, float]]


def _choose_range(
    lows: pd.Series, highs: pd.Series, references: Mapping[str, float]
) -> tuple[float, float, dict[str, float]]:
    """Axis range that holds the data, and the references that lie near it."""
    low, high = float(lows.min()), float(highs.max())
    span = max(high - low, 0.05 * abs(high), 1e-12)
    near = {n: v for n, v in references.items() if low - 0.5 * span <= v <= high + 0.5 * span}
    low, high = min([low, *near.values()]), max([high, *near.values()])
    # The upper share leaves room for the note on references off the scale.
    return low - 0.06 * (high - low or span), high + 0.12 * (high - low or span), near


def _add_references(
    fig: go.Figure, row: int, column: int, references: Mapping[str, float], lows: pd.Series,
    highs: pd.Series,
) -> None:  # fmt: skip
    low, high, near = _choose_range(lows, highs, references)
    fig.update_yaxes(range=[low, high], row=row, col=column)
    font = {"size": 10, "color": MUTED}
    groups: list[list[tuple[float, str]]] = []
    for value, name in sorted((value, name) for name, value in near.items()):
        fig.add_hline(
            y=value, line={"color": MUTED, "width": 1.2, "dash": "dot"}, row=row, col=column
        )
        # Labels closer than a line of text are joined, lowest value last.
        if groups and value - groups[-1][-1][0] < 0.07 * (high - low):
            groups[-1].append((value, name))
        else:
            groups.append([(value, name)])
    for group in groups:
        text = "<br>".join(f"{name} {format_value(value)}" for value, name in reversed(group))
        middle = sum(value for value, _ in group) / len(group)
        fig.add_annotation(
            x=1, xref="x domain", xshift=4, y=middle, text=text, showarrow=False, font=font,
            align="left", xanchor="left", yanchor="middle", row=row, col=column,
        )  # fmt: skip
    far = [f"{n} {format_value(v)}" for n, v in references.items() if n not in near]
    if far:
        fig.add_annotation(
            x=0.01, xref="x domain", y=0.99, yref="y domain", text="off scale: " + ", ".join(far),
            showarrow=False, font=font, xanchor="left", yanchor="top", row=row, col=column,
        )  # fmt: skip


def _unit(cell: pd.Series) -> str:
    unit = cell.get("unit")
    return unit if isinstance(unit, str) else ""


def _error(cell: pd.Series) -> str:
    return f"test {name_errors([cell.get('metric', ABSOLUTE)])}"


def _add_line(
    fig: go.Figure, row: int, column: int, cells: pd.DataFrame, colour: str, name: str, show: bool
) -> None:
    """A line over the mixings that are a number, and a point for each that is none."""
    numbered = cells["gamma"].notna()
    parts = [cells[numbered], *(cells[~numbered].iloc[[k]] for k in range((~numbered).sum()))]
    for place, part in enumerate(part for part in parts if len(part)):
        _add_points(fig, row, column, part, colour, name, show and not place)


def _add_points(
    fig: go.Figure, row: int, column: int, cells: pd.DataFrame, colour: str, name: str, show: bool
) -> None:
    x = [label_mixing(mixing) for mixing in cells["mixing"]]
    mean, half = cells["test_error"], cells["test_std"].fillna(0.0)
    error = f"{_error(cells.iloc[0])} %{{y:.4g}} ± %{{customdata[0]:.2g}}"
    on_line = bool(cells["gamma"].notna().all())
    if on_line and (half > 0).any():
        fill = fade(colour, 0.08)
        add_band(fig, x, mean - half, mean + half, fill, legendgroup=name, row=row, col=column)
    fig.add_scatter(
        x=x, y=mean, mode="lines+markers", name=name, legendgroup=name, showlegend=show,
        line={"color": colour, "width": 2}, marker={"color": colour, "size": 5},
        error_y={"array": half, "color": colour, "thickness": 1, "visible": not on_line},
        customdata=list(zip(half, cells["folds"], strict=True)),
        hovertemplate=f"{name}, γ = %{{x}}<br>"
        + with_unit(error, _unit(cells.iloc[0]))
        + " (%{customdata[1]} folds)<extra></extra>",
        row=row, col=column,
    )  # fmt: skip


def _add_mark(
    fig: go.Figure, row: int, column: int, cell: pd.Series, name: str, symbol: str, show: bool
) -> None:
    ring = symbol.endswith("open")
    fig.add_scatter(
        x=[label_mixing(cell["mixing"])], y=[cell["test_error"]], mode="markers", name=name,
        legendgroup=name, showlegend=show,
        marker={"symbol": symbol, "size": 14 if ring else 11, "color": INK,
                "line": {"width": 1.8 if ring else 0, "color": INK}},
        hovertemplate=f"{name}: dim {cell['dim']}, γ = %{{x}}<br>"
        + with_unit(f"{_error(cell)} %{{y:.4g}}", _unit(cell))
        + "<extra></extra>",
        row=row, col=column,
    )  # fmt: skip


class _Legend:
    """Names that have a legend entry already: a name is shown once for all panels."""

    def __init__(self) -> None:
        self.shown: set[str] = set()

    def is_new(self, name: str) -> bool:
        new = name not in self.shown
        self.shown.add(name)
        return new


def _add_panel(
    fig: go.Figure, row: int, column: int, cells: pd.DataFrame, picked: pd.DataFrame,
    colours: Mapping[int, str], legend: _Legend,
) -> None:  # fmt: skip
    for dim, line in cells.groupby("dim"):
        name = f"dim {dim}"
        _add_line(fig, row, column, line, colours[int(str(dim))], name, legend.is_new(name))
    name = f"lowest {_error(cells.iloc[0])}"
    lowest = cells.loc[cells["test_error"].idxmin()]
    _add_mark(fig, row, column, lowest, name, "star", legend.is_new(name))
    name = "picked on validation"
    for _, cell in picked.iterrows():
        _add_mark(fig, row, column, cell, name, "circle-open", legend.is_new(name))


def _label_mixings(fig: go.Figure, cells: pd.DataFrame, rows: int) -> None:
    """The γ of all panels, named under the last row."""
    labels = [label_mixing(mixing) for mixing in order_mixings(cells)]
    fig.update_xaxes(type="category", categoryorder="array", categoryarray=labels)
    fig.update_xaxes(range=[-0.3, len(labels) - 0.7])
    fig.update_xaxes(title_text="mixing γ = log₁₀(learned / handcrafted)", row=rows)


def mae_vs_gamma(ledger: pd.DataFrame, references: References | None = None) -> go.Figure:
    """Mean test error over the folds against γ, a row of panels per task, a column per backbone.

    One line per dimension, its band one standard deviation over folds (none for a single fold).
    A star marks the lowest mean test error, a ring the configuration with the lowest mean
    validation error. Of several settings, each point shows the one with the lowest mean validation
    error.

    Args:
        references: task -> name -> error, drawn dotted; those far off the scale are only named.

    Raises:
        ValueError: no model has finished.
    """
    cells = at_best_setting(ledger)
    chosen = best_by_validation(ledger)
    units = units_of(ledger)
    errors = {task: name_errors([one]) for task, one in metrics_of(ledger).items()}
    references = {task: (references or {}).get(task, {}) for task in cells["task"].unique()}
    dotted = any(references.values())
    # References are named to the right of a panel, where no line can run through the name.
    fig, places = panels_of(cells, horizontal=0.17 if dotted else 0.09)
    colours = colour_dims(cells["dim"].tolist())
    legend = _Legend()
    for panel in chain.from_iterable(places):
        here = panel.rows
        if here.empty:
            continue
        of_panel = (chosen["task"] == panel.task) & (chosen["backbone"] == panel.backbone)
        _add_panel(fig, panel.row, panel.column, here, chosen[of_panel], colours, legend)
        half = here["test_std"].fillna(0.0)
        _add_references(
            fig, panel.row, panel.column, references[panel.task],
            here["test_error"] - half, here["test_error"] + half,
        )  # fmt: skip
    for first, *_ in places:
        name = f"test {errors[first.task]}"
        fig.update_yaxes(title_text=label_axis(name, units.get(first.task, "")), **first.at)
    _label_mixings(fig, cells, len(places))
    folds = cells["folds"].max()
    subtitle = f"mean of {folds} folds, band ± one standard deviation" if folds > 1 else "one fold"
    ends = {"H": "H handcrafted only", "L": "L learned only"}
    there = [text for mixing, text in ends.items() if (cells["mixing"] == mixing).any()]
    subtitle += f"; {', '.join(there)}" if there else ""
    finish(
        fig,
        title="Error against the mixing of handcrafted and learned elements",
        subtitle=subtitle + ("; dotted: reference values" if dotted else ""),
    )
    if dotted:
        fig.update_layout(margin_r=100)
    return fig
