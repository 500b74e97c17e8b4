"""Predicted and computed densities of states.

Legend: L energies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.figures.style import (
    CATEGORIES,
    INK,
    MUTED,
    add_band,
    add_diagonal,
    fade,
    finish,
    label_axis,
    panels,
)

COLUMNS = 2
BAND = 2  # deviations of the members
OURS, TREES, MEAN = "ensemble", "trees", "mean spectrum"
COLOURS = {OURS: CATEGORIES[0], TREES: CATEGORIES[1], MEAN: MUTED}
ERRORS = {OURS: "mse", TREES: "trees_mse", MEAN: "mean_spectrum_mse"}


def curves_at_quantiles(chosen: pd.DataFrame, energies: np.ndarray, unit: str = "eV") -> go.Figure:
    """A panel a crystal: computed curve, predicted one, and the band of the members.

    Args:
        chosen: rows with columns id, elements, mse, target, prediction, deviation, each curve [L].
        energies: [L].
    """
    titles = [f"{row.elements} · {row.id} · MSE {row.mse:.3g}" for row in chosen.itertuples()]
    fig, places = _grid(titles)
    for place, (_, row) in zip(places, chosen.iterrows(), strict=True):
        said, deviation = (np.asarray(row[name], float) for name in ("prediction", "deviation"))
        first = place == places[0]
        low = np.maximum(said - BAND * deviation, 0).round(4).tolist()
        high, fill = (said + BAND * deviation).round(4).tolist(), fade(CATEGORIES[0], 0.18)
        add_band(fig, energies.round(3).tolist(), low, high, fill, row=place[0], col=place[1])
        _add_curve(fig, energies, row["target"], "computed", INK, place, show=first)
        _add_curve(fig, energies, said, "predicted", CATEGORIES[0], place, show=first)
    _label(fig, places, unit, "density, maximum 1")
    return finish(
        fig,
        title="Predicted and computed densities of states",
        subtitle="test crystals at even steps of the error's rank; band: two deviations",
    )


def by_element(
    rows: Sequence[Mapping[str, Any]], energies: np.ndarray, unit: str = "eV"
) -> go.Figure:
    """A panel an element: mean density of its atoms, computed and predicted.

    Args:
        rows: with symbol, crystals, prediction [L], and target [L] or None.
    """
    fig, places = _grid([f"{row['symbol']} · {row['crystals']} crystals" for row in rows])
    for place, row in zip(places, rows, strict=True):
        first = place == places[0]
        if row["target"] is not None:
            _add_curve(fig, energies, row["target"], "computed", INK, place, show=first)
        said = row["prediction"]
        _add_curve(fig, energies, said, "predicted", CATEGORIES[0], place, show=first)
    _label(fig, places, unit, "density of an atom")
    return finish(
        fig,
        title="Densities by element",
        subtitle="mean over the atoms of an element in the test crystals",
    )


def at_fermi(known: pd.DataFrame) -> go.Figure:
    """Predicted against computed density at the Fermi level, with the deviation of the members."""
    fig = panels(1, 1, [""], panel_height=420)
    true, said = known["at_fermi"].to_numpy(float), known["at_fermi_predicted"].to_numpy(float)
    ends = add_diagonal(fig, 1, 1, min(true.min(), said.min()), max(true.max(), said.max()))
    fig.add_scatter(
        x=true, y=said, mode="markers", customdata=known[["id", "elements"]].to_numpy(),
        error_y={
            "array": known["at_fermi_deviation"], "color": fade(CATEGORIES[0], 0.35),
            "thickness": 1, "width": 0,
        },
        marker={"size": 6, "opacity": 0.7, "color": CATEGORIES[0]}, showlegend=False,
        hovertemplate="%{customdata[0]} (%{customdata[1]})<br>computed %{x:.3f}, predicted %{y:.3f}"
        "<extra></extra>",
    )  # fmt: skip
    fig.update_xaxes(title_text="computed, of the maximum", range=ends)
    fig.update_yaxes(title_text="predicted", range=ends)
    return finish(
        fig,
        title="Density at the Fermi level",
        subtitle="test crystals of all folds; bars: one deviation of the members",
        legend=False,
    )


def error_histogram(predictions: pd.DataFrame) -> go.Figure:
    """How the errors of crystals are distributed, beside those of the baselines."""
    fig = panels(1, 1, [""], panel_height=300)
    most = float(predictions[list(ERRORS.values())].to_numpy(float).max())
    for name, column in ERRORS.items():
        fig.add_histogram(
            x=predictions[column], name=name, opacity=0.6, marker_color=COLOURS[name],
            xbins={"start": 0, "end": most, "size": most / 30},
            hovertemplate=f"{name}: %{{y}} crystals of MSE %{{x}}<extra></extra>",
        )  # fmt: skip
    fig.update_layout(barmode="overlay")
    fig.update_xaxes(title_text="MSE of a crystal")
    fig.update_yaxes(title_text="test crystals")
    return finish(fig, title="Errors of the test crystals", subtitle="all folds")


def learning_curve(rows: pd.DataFrame) -> go.Figure:
    """MSE against crystals learned from, means over the folds; both axes logarithmic.

    Args:
        rows: with columns share, learned, and those of `ERRORS`.
    """
    fig = panels(1, 1, [""], panel_height=340)
    means = rows.groupby("share")[["learned", *ERRORS.values()]].mean()
    for name, column in ERRORS.items():
        fig.add_scatter(
            x=means["learned"], y=means[column], mode="lines+markers", name=name,
            line={"color": COLOURS[name], "width": 2},
            hovertemplate=f"{name}, %{{x:.0f}} crystals: %{{y:.4g}}<extra></extra>",
        )  # fmt: skip
    fig.update_xaxes(type="log", title_text="crystals learned from")
    fig.update_yaxes(type="log", title_text="test MSE")
    return finish(fig, title="Error against the number of crystals", subtitle="means over folds")


Place = tuple[int, int]


def _grid(titles: Sequence[str]) -> tuple[go.Figure, list[Place]]:
    columns = min(COLUMNS, len(titles))
    fig = panels(-(-len(titles) // columns), columns, titles, panel_height=190, gap=72)
    places = [(index // columns + 1, index % columns + 1) for index in range(len(titles))]
    return fig, places


def _add_curve(
    fig: go.Figure,
    energies: np.ndarray,
    density: Any,
    name: str,
    colour: str,
    place: Place,
    *,
    show: bool,
) -> None:
    values = [None if not np.isfinite(one) else round(float(one), 4) for one in density]
    fig.add_scatter(
        x=energies.round(3), y=values, mode="lines", name=name, legendgroup=name, showlegend=show,
        line={"color": colour, "width": 1.4}, row=place[0], col=place[1],
        hovertemplate=f"{name}, %{{x:.2f}}: %{{y:.3f}}<extra></extra>",
    )  # fmt: skip


def _label(fig: go.Figure, places: Sequence[Place], unit: str, density: str) -> None:
    last = max(row for row, _ in places)
    fig.update_xaxes(title_text=label_axis("energy", unit), row=last)
    fig.update_yaxes(title_text=density, col=1, rangemode="tozero")
