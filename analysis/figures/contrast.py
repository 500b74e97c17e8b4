"""Crystals and potentials in one space: retrieval, both spaces, work functions.

Legend: G materials of the test part, L points of a profile.
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
    add_diagonal,
    fade,
    finish,
    format_value,
    panels,
)

COLUMNS = 2
TICKS = [1, 2, 5, 10, 20, 50, 100]  # of a logarithmic axis
# Of methods of retrieval and of work functions, by name in print; others repeat no colour of these.
COLOURS = {
    "ensemble": CATEGORIES[0],
    "one member": CATEGORIES[5],
    "atoms as Gaussians": CATEGORIES[2],
    "nearest composition": CATEGORIES[1],
    "untrained": CATEGORIES[3],
    "chance": MUTED,
}
LINES = ("#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#D55E00", MUTED)


def recall_curves(rows: pd.DataFrame, ways: Mapping[str, str]) -> go.Figure:
    """Recall@k against k, a panel a direction.

    Args:
        rows: with columns way, method (in print), and the lists k and recall.
        ways: of the column, with their titles.
    """
    fig = panels(1, len(ways), list(ways.values()), panel_height=320)
    for column, way in enumerate(ways, 1):
        for row in rows[rows["way"] == way].itertuples():
            fig.add_scatter(
                x=row.k, y=row.recall, mode="lines", name=row.method, legendgroup=row.method,
                showlegend=column == 1, row=1, col=column,
                line={
                    "color": COLOURS[row.method], "width": 2,
                    "dash": "dot" if row.method == "chance" else "solid",
                },
                hovertemplate=f"{row.method}, k = %{{x}}: %{{y:.3f}}<extra></extra>",
            )  # fmt: skip
    fig.update_xaxes(type="log", title_text="k (logarithmic)", tickvals=TICKS)
    fig.update_yaxes(title_text="recall@k", range=[0, 1.02], col=1)
    fig.update_yaxes(range=[0, 1.02])
    return finish(
        fig,
        title="Recall of the own partner",
        subtitle="share of test materials whose partner is among the first k",
    )


def similarity_matrix(cosines: np.ndarray, work_functions: np.ndarray) -> go.Figure:
    """Cosines of crystals (rows) and profiles (columns) of test materials, in one order.

    Args:
        cosines: [G, G].
        work_functions: [G] eV, ascending, of rows and columns.
    """
    fig = panels(1, 1, [""], panel_height=520)
    names = [f"{one:.2f}" for one in work_functions]
    places = list(range(len(names)))
    fig.add_heatmap(
        z=cosines.round(3), x=places, y=places, zmin=-1, zmax=1, colorscale="RdBu_r",
        colorbar={"title": "cosine", "thickness": 12, "x": 0.8}, text=_pairs_of(names),
        hovertemplate="%{text}<br>cosine %{z:.2f}<extra></extra>",
    )  # fmt: skip
    ticks = np.unique(np.linspace(0, len(names) - 1, 6).round().astype(int)).tolist()
    shown = {"tickvals": ticks, "ticktext": [names[place] for place in ticks]}
    fig.update_xaxes(title_text="profile, by work function (eV)", constrain="domain", **shown)
    fig.update_yaxes(
        title_text="crystal, by work function (eV)", scaleanchor="x", autorange="reversed",
        constrain="domain", **shown,
    )  # fmt: skip
    return finish(
        fig,
        title="Similarity of test materials",
        subtitle="the own partner lies on the diagonal",
        legend=False,
    )


def _pairs_of(names: Sequence[str]) -> list[list[str]]:
    return [[f"crystal {row} eV, profile {column} eV" for column in names] for row in names]


def spaces(points: pd.DataFrame, explained: Sequence[float]) -> go.Figure:
    """Vectors of crystals and of profiles in one plane.

    Args:
        points: with columns kind (crystal, profile), x, y, work_function, id, formula.
        explained: shares of the variance along both axes.
    """
    fig = panels(1, 1, [""], panel_height=480)
    ends = [float(points["work_function"].min()), float(points["work_function"].max())]
    for number, (kind, symbol) in enumerate((("crystal", "circle"), ("profile", "diamond-open"))):
        own = points[points["kind"] == kind]
        fig.add_scatter(
            x=own["x"].round(4), y=own["y"].round(4), mode="markers", name=kind,
            customdata=own[["id", "formula", "work_function"]].to_numpy(),
            marker={
                "symbol": symbol, "size": 7, "opacity": 0.8, "color": own["work_function"].round(3),
                "colorscale": "Viridis", "cmin": ends[0], "cmax": ends[1],
                "showscale": not number, "line": {"width": 1.5 if number else 0},
                "colorbar": {"title": "W (eV)", "thickness": 12},
            },
            hovertemplate=f"{kind} of %{{customdata[0]}} (%{{customdata[1]}})<br>"
            "W %{customdata[2]:.2f} eV<extra></extra>",
        )  # fmt: skip
    titles = [f"component {place} ({share:.0%} of the variance)" for place, share in
              enumerate(explained, 1)]  # fmt: skip
    fig.update_xaxes(title_text=titles[0])
    fig.update_yaxes(title_text=titles[1])
    return finish(
        fig,
        title="Both spaces in one projection",
        subtitle="principal components of all vectors of the test part together, first member",
    )


def retrieved_profiles(rows: Sequence[Mapping[str, Any]], z: np.ndarray) -> go.Figure:
    """A panel a material: its own profile, and that which is retrieved from the learned ones.

    Args:
        rows: with title, profile [L] and nearest_profile [L], eV above the Fermi level.
        z: [L] Å.
    """
    columns = min(COLUMNS, len(rows))
    titles = [str(row["title"]) for row in rows]
    fig = panels(-(-len(rows) // columns), columns, titles, panel_height=190, gap=72)
    drawn = (("computed", "profile", INK), ("retrieved", "nearest_profile", CATEGORIES[0]))
    for index, row in enumerate(rows):
        for name, column, colour in drawn:
            fig.add_scatter(
                x=z.round(3), y=np.asarray(row[column], float).round(3), mode="lines", name=name,
                legendgroup=name, showlegend=not index, line={"color": colour, "width": 1.4},
                row=index // columns + 1, col=index % columns + 1,
                hovertemplate=f"{name}, %{{x:.1f}} Å: %{{y:.2f}} eV<extra></extra>",
            )  # fmt: skip
    fig.update_xaxes(title_text="z (Å)", row=-(-len(rows) // columns))
    fig.update_yaxes(title_text="U − E_F (eV)", col=1)
    return finish(
        fig,
        title="Retrieved and computed profiles",
        subtitle="by the crystal alone, from the profiles of the materials that were learned from",
    )


def work_functions(tested: pd.DataFrame, methods: Mapping[str, str]) -> go.Figure:
    """Predicted against computed work functions, a panel a method; bars are intervals.

    Args:
        tested: with columns id, formula, work_function, head_lower, head_upper, and the methods'.
        methods: columns with their titles; `head` has bars.
    """
    fig = panels(1, len(methods), list(methods.values()), panel_height=300, horizontal=0.07)
    true = tested["work_function"].to_numpy(float)
    said = tested[list(methods)].to_numpy(float)
    reached = np.concatenate(
        [true, said.ravel(), *(tested[name] for name in ("head_lower", "head_upper"))]
    )
    low, high = float(reached.min()), float(reached.max())
    for column, method in enumerate(methods, 1):
        ends = add_diagonal(fig, 1, column, low, high)
        bars = (tested["head_upper"] - tested["head_lower"]) / 2 if method == "head" else None
        fig.add_scatter(
            x=true.round(4), y=tested[method].round(4), mode="markers", showlegend=False,
            error_y=None if bars is None else {
                "array": bars.round(4), "color": fade(CATEGORIES[0], 0.25), "thickness": 1,
                "width": 0,
            },
            marker={"size": 5, "opacity": 0.7, "color": CATEGORIES[0]},
            customdata=tested[["id", "formula"]].to_numpy(), row=1, col=column,
            hovertemplate="%{customdata[0]} (%{customdata[1]})<br>computed %{x:.2f} eV, predicted"
            " %{y:.2f} eV<extra></extra>",
        )  # fmt: skip
        mae = float(np.abs(tested[method] - true).mean())
        fig.add_annotation(
            x=0.03, xref="x domain", y=0.97, yref="y domain", xanchor="left", yanchor="top",
            showarrow=False, font={"size": 11}, row=1, col=column, bgcolor="rgba(255,255,255,0.8)",
            text=f"MAE {format_value(mae)} eV",
        )  # fmt: skip
        fig.update_xaxes(title_text="computed (eV)", range=ends, row=1, col=column)
        fig.update_yaxes(range=ends, row=1, col=column)
    fig.update_yaxes(title_text="predicted (eV)", col=1)
    return finish(
        fig,
        title="Work functions of test materials",
        subtitle="bars: intervals calibrated on the validation part",
        legend=False,
    )


def learning_curves(errors: pd.DataFrame, recalls: pd.DataFrame, chance: float) -> go.Figure:
    """Errors of work functions, and recall@1, against the materials that were learned from.

    Args:
        errors: with columns materials, method, mae, low, high.
        recalls: with columns materials, way (in print), recall.
        chance: recall@1 of a random order.
    """
    fig = panels(1, 2, ["work function", "retrieval"], panel_height=340)
    for colour, (name, own) in zip(LINES, errors.groupby("method", sort=False), strict=False):
        known = own["low"].notna()
        fig.add_scatter(
            x=own["materials"], y=own["mae"], mode="lines+markers", name=str(name),
            line={"color": colour, "width": 2}, row=1, col=1,
            error_y={
                "type": "data", "symmetric": False, "color": fade(colour, 0.45), "width": 0,
                "thickness": 1, "array": (own["high"] - own["mae"]).where(known),
                "arrayminus": (own["mae"] - own["low"]).where(known),
            } if colour != MUTED else None,
            hovertemplate=f"{name}, %{{x}} materials: %{{y:.3f}} eV<extra></extra>",
        )  # fmt: skip
    for dash, (name, own) in zip(("solid", "dash"), recalls.groupby("way"), strict=False):
        fig.add_scatter(
            x=own["materials"], y=own["recall"], mode="lines+markers", name=str(name), row=1, col=2,
            line={"color": INK, "width": 2, "dash": dash},
            hovertemplate=f"{name}, %{{x}} materials: %{{y:.3f}}<extra></extra>",
        )  # fmt: skip
    sizes = sorted(errors["materials"].unique().tolist())
    fig.add_scatter(
        x=[sizes[0], sizes[-1]], y=[chance, chance], mode="lines", name="chance", row=1, col=2,
        line={"color": MUTED, "width": 2, "dash": "dot"},
        hovertemplate=f"chance: {chance:.3f}<extra></extra>",
    )  # fmt: skip
    fig.update_xaxes(type="log", title_text="materials learned from", tickvals=sizes)
    fig.update_yaxes(title_text="test MAE (eV)", rangemode="tozero", col=1)
    fig.update_yaxes(title_text="recall@1", rangemode="tozero", col=2)
    return finish(
        fig,
        title="Against the number of materials",
        subtitle="one model of each kind and size; bars: 95 % over formulas",
    )
