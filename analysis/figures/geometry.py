"""Shape of the element vectors against error, layers against classes; figures 3.9, 3.10, 4.5."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.figures.style import (
    add_band,
    colour_categories,
    fade,
    finish,
    label_axis,
    label_mixing,
    name_backbone,
    order_mixings,
    panels,
    shorten,
)

NAMES = {
    "dim": "dimension",
    "spectral_radius": "spectral radius",
    "spectral_gap": "spectral gap",
    "fiedler": "Fiedler value",
    "effective_rank": "effective rank",
    "entropy": "entropy",
    "ari": "ARI with the classes",
    "silhouette": "silhouette",
}
KINDS = {"pearson": "Pearson", "spearman": "Spearman"}


def correlations(found: pd.DataFrame) -> go.Figure:
    """Heat maps of correlation with the error, a panel for Pearson and one for Spearman.

    Args:
        found: of `geometry.correlation.correlate`.

    Raises:
        ValueError: it is empty.
    """
    if found.empty:
        raise ValueError("no correlation is known")
    rows = found[["backbone", "strategy"]].drop_duplicates()
    labels = [f"{name_backbone(one.backbone)}, {one.strategy}" for one in rows.itertuples()]
    indicators = [name for name in NAMES if name in set(found["indicator"])]
    fig = panels(1, 2, list(KINDS.values()), panel_height=90 + 44 * len(labels), horizontal=0.03)
    for column, kind in enumerate(KINDS, 1):
        square = found.pivot(index=["backbone", "strategy"], columns="indicator", values=kind)
        values = square.reindex(index=pd.MultiIndex.from_frame(rows), columns=indicators)
        fig.add_heatmap(
            z=values.to_numpy(), x=[NAMES[name] for name in indicators], y=labels, row=1,
            col=column, colorscale="RdBu", reversescale=True, zmin=-1, zmax=1,
            showscale=column == 2, texttemplate="%{z:.2f}", textfont={"size": 11},
            xgap=2, ygap=2, hoverongaps=False,
            hovertemplate="%{y}<br>%{x}: %{z:.3f}<extra></extra>",
            colorbar={"thickness": 12, "outlinewidth": 0, "dtick": 0.5},
        )  # fmt: skip
    finish(
        fig,
        title="Shape of the element vectors against the model's error",
        subtitle="correlation over models, mean over data sets; blue: the more of it, the lower the"
        " error",
        legend=False,
    )
    fig.update_xaxes(showgrid=False, tickangle=-40)
    fig.update_yaxes(showgrid=False, autorange="reversed")
    fig.update_yaxes(showticklabels=False, col=2)
    fig.update_layout(height=int(fig.layout.height) + 60, margin={"b": 124})
    return fig


def layers(models: pd.DataFrame) -> go.Figure:
    """ARI of the clusters with the ten classes, from the embedding through the layers.

    Means, with the interquartile range as a band; one panel per backbone and task.

    Args:
        models: task, backbone, strategy, layer (0 is the embedding) and ari, one row per model and
            layer.
    """
    if models["ari"].notna().sum() == 0:
        raise ValueError("no ARI is known")
    pairs = list(models.groupby(["task", "backbone"], sort=True).groups)
    columns = min(2, len(pairs))
    fig = panels(
        -(-len(pairs) // columns), columns,
        [f"{shorten(task, 22)}, {name_backbone(backbone)}" for task, backbone in pairs],
    )  # fmt: skip
    colours = colour_categories(sorted(models["strategy"].unique()))
    for place, (task, backbone) in enumerate(pairs):
        where = {"row": place // columns + 1, "col": place % columns + 1}
        part = models[(models["task"] == task) & (models["backbone"] == backbone)]
        for strategy, rows in part.groupby("strategy", sort=True):
            by_layer = rows.groupby("layer")["ari"]
            mean, low, high = by_layer.mean(), by_layer.quantile(0.25), by_layer.quantile(0.75)
            colour = colours[str(strategy)]
            fill = fade(colour, 0.15)
            add_band(fig, mean.index, low, high, fill, legendgroup=strategy, **where)
            fig.add_scatter(
                x=mean.index, y=mean, mode="lines+markers", name=str(strategy),
                legendgroup=strategy, showlegend=place == 0, line={"color": colour, "width": 2},
                hovertemplate=f"{strategy}, layer %{{x}}: %{{y:.3f}}<extra></extra>", **where,
            )  # fmt: skip
    finish(
        fig,
        title="Do the layers find the chemists' classes again?",
        subtitle="adjusted Rand index of K-means with the ten classes; 1 is perfect, 0 is chance;"
        " bands: middle half of the models",
    )
    last = int(models["layer"].max())
    names = ["embedding", *(f"layer {layer}" for layer in range(1, last + 1))]
    fig.update_xaxes(tickvals=list(range(last + 1)), ticktext=names, showgrid=False)
    top = max(0.5, float(models["ari"].max()) * 1.05)
    fig.update_yaxes(range=[min(-0.05, float(models["ari"].min())), top])
    return fig


def angle_variances(models: pd.DataFrame) -> go.Figure:
    """Variance over the elements of the angle between the channels, by data set and mixing.

    Args:
        models: task, backbone, mixing, gamma, dim, angle_variance (deg²); only rows with one are
            drawn.
    """
    known = models[np.isfinite(models["angle_variance"])]
    if known.empty:
        raise ValueError("no model has both channels")
    dims = sorted(known["dim"].unique())
    backbones = sorted(known["backbone"].unique())
    mixings = order_mixings(known)
    tasks = sorted(known["task"].unique())
    titles = [
        f"{name_backbone(backbone)}, {dim} dimensions" for backbone in backbones for dim in dims
    ]
    fig = panels(
        len(backbones), len(dims), titles, panel_height=60 + 34 * len(tasks), horizontal=0.02
    )  # fmt: skip
    highest = float(known["angle_variance"].max())
    for row, backbone in enumerate(backbones, 1):
        for column, dim in enumerate(dims, 1):
            part = known[(known["backbone"] == backbone) & (known["dim"] == dim)]
            square = part.pivot_table(
                index="task", columns="mixing", values="angle_variance", aggfunc="mean"
            ).reindex(index=tasks, columns=mixings)
            fig.add_heatmap(
                z=square.to_numpy(), x=[label_mixing(mixing) for mixing in mixings],
                y=[shorten(task, 16) for task in tasks], row=row, col=column,
                colorscale="Purples", zmin=0, zmax=highest, xgap=2, ygap=2, hoverongaps=False,
                showscale=row == 1 and column == len(dims), texttemplate="%{z:.0f}",
                hovertemplate="%{y}, γ = %{x}: %{z:.1f} deg²<extra></extra>",
                colorbar={"title": {"text": label_axis("variance", "deg²"), "side": "right"},
                          "thickness": 12, "outlinewidth": 0},
            )  # fmt: skip
            if column > 1:
                fig.update_yaxes(showticklabels=False, row=row, col=column)
    finish(
        fig,
        title="How differently the channels are turned against each other",
        subtitle="variance over the elements of the angle between handcrafted and learned vector",
        legend=False,
    )
    fig.update_xaxes(type="category", showgrid=False)
    fig.update_xaxes(title_text="γ", row=len(backbones))
    fig.update_yaxes(showgrid=False)
    return fig
