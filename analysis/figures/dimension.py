"""The effect of the dimension of element vectors on the error, in place of figure 4.4's radar."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from analysis.figures.style import (
    CATEGORIES,
    finish,
    label_mixing,
    name_backbone,
    order_mixings,
    panels,
    shorten,
)
from analysis.leaderboard import at_best_setting
from analysis.metrics import metrics_of, name_errors

# The thesis' two regimes: for γ up to 0 handcrafted features dominate, above it the embedding.
REGIMES = ("feature-led", "embedding-led")
COLUMNS = 4
DASHES = ("solid", "dash", "dot", "dashdot")


def regime_of(gamma: float) -> str:
    """Which channel dominates: `REGIMES[0]` for γ <= 0 and H, else `REGIMES[1]`."""
    return REGIMES[0] if gamma <= 0 else REGIMES[1]


def relative_errors(ledger: pd.DataFrame) -> pd.DataFrame:
    """Columns task, backbone, regime, dim, relative, mixings.

    The mean test error of a regime's mixings, divided by the lowest such mean of that task and
    backbone: 1 is the best regime at its best dimension. If there are any, only mixings that every
    dimension has are averaged, so that a missing cell is not mistaken for an effect. Of several
    settings, the one with the lowest mean validation error counts.
    """
    cells = at_best_setting(ledger).dropna(subset="gamma")  # a learned γ belongs to no regime
    cells["regime"] = cells["gamma"].map(regime_of)
    rows = []
    for (task, backbone, regime), part in cells.groupby(["task", "backbone", "regime"]):
        everywhere = part.groupby("mixing")["dim"].nunique() == part["dim"].nunique()
        common = part[part["mixing"].map(everywhere)]
        for dim, at in (common if len(common) else part).groupby("dim"):
            mean = float(at["test_error"].mean())
            rows.append((task, backbone, regime, int(dim), mean, len(at)))
    names = ["task", "backbone", "regime", "dim", "relative", "mixings"]
    found = pd.DataFrame(rows, columns=names)
    found["relative"] /= found.groupby(["task", "backbone"])["relative"].transform("min")
    return found


def _mixings_of(ledger: pd.DataFrame) -> dict[str, str]:
    """The mixings present in each regime, in words."""
    known = at_best_setting(ledger).dropna(subset="gamma")
    regimes = known.assign(regime=lambda cells: cells["gamma"].map(regime_of))
    return {
        regime: ", ".join(map(label_mixing, order_mixings(regimes[regimes["regime"] == regime])))
        for regime in REGIMES
    }


def dimension_effect(ledger: pd.DataFrame) -> go.Figure:
    """Relative test error against dimension: a panel per task, colour by regime, dash by backbone.

    Raises:
        ValueError: no model has finished.
    """
    found = relative_errors(ledger)
    error = name_errors(metrics_of(ledger).values())
    tasks = sorted(found["task"].unique())
    columns = min(COLUMNS, len(tasks))
    rows = -(-len(tasks) // columns)
    fig = panels(
        rows, columns, [shorten(t, 100 // columns) for t in tasks], panel_height=190,
        horizontal=0.06,
    )  # fmt: skip
    dashes = dict(zip(sorted(found["backbone"].unique()), DASHES, strict=False))
    shown: set[str] = set()
    mixings = _mixings_of(ledger)
    for index, task in enumerate(tasks):
        row, column = index // columns + 1, index % columns + 1
        here = found[found["task"] == task]
        here = here.assign(place=here["regime"].map(REGIMES.index))
        for (backbone, regime), line in here.sort_values(["backbone", "place", "dim"]).groupby(
            ["backbone", "regime"], sort=False
        ):
            name = f"{name_backbone(backbone)}, {regime} ({mixings[regime]})"
            fig.add_scatter(
                x=[str(dim) for dim in line["dim"]], y=line["relative"], mode="lines+markers",
                name=name, legendgroup=name, showlegend=name not in shown,
                line={"color": CATEGORIES[REGIMES.index(regime)], "dash": dashes[backbone]},
                marker={"size": 6}, customdata=line[["mixings"]].to_numpy(),
                hovertemplate=f"{name}<br>dim %{{x}}: %{{y:.3f}} × the best "
                "(%{customdata[0]} mixings)<extra></extra>",
                row=row, col=column,
            )  # fmt: skip
            shown.add(name)
        if index + columns >= len(tasks):
            fig.update_xaxes(title_text="dimension", row=row, col=column)
    labels = [str(dim) for dim in sorted(found["dim"].unique())]
    fig.update_xaxes(type="category", categoryorder="array", categoryarray=labels)
    fig.update_xaxes(range=[-0.3, len(labels) - 0.7])
    # One scale for all panels, as the size of the effect is compared.
    fig.update_yaxes(matches="y", tickformat=".2f")
    fig.update_yaxes(title_text=f"test {error} / best", col=1)
    return finish(
        fig,
        title="Effect of the dimension of the element vectors",
        subtitle=f"test {error}, mean over folds and mixings, relative to the lowest of its task "
        "and backbone (1 = best)",
    )
