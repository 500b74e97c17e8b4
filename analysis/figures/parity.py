"""Predictions against targets on the test parts, for the best configuration of each task."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.figures.style import (
    add_diagonal,
    colour_backbone,
    finish,
    format_value,
    label_axis,
    label_mixing,
    name_backbone,
    panels,
    shorten,
    units_of,
    with_unit,
)
from analysis.leaderboard import CONFIGURATION, best_by_validation
from analysis.scores import r_squared
from analysis.selection import done

COLUMNS = 3
MAX_POINTS = 2000


def choose_best(ledger: pd.DataFrame) -> pd.DataFrame:
    """Per task the configuration with the lowest mean validation error, over all backbones."""
    ranked = best_by_validation(ledger).sort_values(
        ["task", "val_error", "backbone"], kind="stable"
    )
    return ranked.drop_duplicates("task").reset_index(drop=True)


def _pool(best: pd.Series, rows: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Finite test predictions of all folds of a configuration."""
    same = (rows[list(CONFIGURATION)] == best[list(CONFIGURATION)]).all(axis=1)
    chosen = predictions[
        predictions["key"].isin(rows.loc[same, "key"]) & (predictions["part"] == "test")
    ]
    return chosen[np.isfinite(chosen[["target", "prediction"]].to_numpy(float)).all(axis=1)]


def _thin(points: pd.DataFrame) -> pd.DataFrame:
    """At most `MAX_POINTS` rows, evenly from the rows in order of target, key and id."""
    ordered = points.sort_values(["target", "key", "id"], kind="stable")
    if len(ordered) <= MAX_POINTS:
        return ordered
    return ordered.iloc[[i * len(ordered) // MAX_POINTS for i in range(MAX_POINTS)]]


def parity(predictions: pd.DataFrame, ledger: pd.DataFrame) -> go.Figure:
    """Test predictions against targets, a panel per task, all folds of the best configuration.

    The configuration is the one with the lowest mean validation error. MAE, RMSE and R² in a panel
    are of all its points, of which at most 2 000 are drawn.

    Raises:
        ValueError: no model has finished, or none of the chosen has test predictions.
    """
    rows = done(ledger)
    pools = [(best, _pool(best, rows, predictions)) for _, best in choose_best(ledger).iterrows()]
    pools = [(best, points) for best, points in pools if len(points)]
    if not pools:
        raise ValueError("no test predictions of the chosen models: nothing to draw")
    units = units_of(ledger)
    columns = min(COLUMNS, len(pools))
    count = -(-len(pools) // columns)
    titles = [shorten(best["task"], 90 // columns) for best, _ in pools]
    fig = panels(
        count, columns, titles, panel_height=270 if columns > 1 else 430, gap=100, horizontal=0.1
    )
    for index, (best, points) in enumerate(pools):
        row, column = index // columns + 1, index % columns + 1
        _add_panel(fig, row, column, best, points, units.get(best["task"], ""))
    return finish(
        fig,
        title="Predicted against true targets on the test parts",
        subtitle="per task the configuration that validation picks, all its folds; "
        f"at most {MAX_POINTS:,} crystals drawn",
        legend=False,
    )


def _add_panel(
    fig: go.Figure, row: int, column: int, best: pd.Series, points: pd.DataFrame, unit: str
) -> None:
    target, prediction = points["target"].to_numpy(float), points["prediction"].to_numpy(float)
    error = float(np.abs(target - prediction).mean())
    spread = float(np.sqrt(((target - prediction) ** 2).mean()))
    r2 = r_squared(target, prediction)
    errors = with_unit(f"MAE {format_value(error)}, RMSE {format_value(spread)}", unit)
    drawn = _thin(points)
    low, high = (
        float(min(target.min(), prediction.min())),
        float(max(target.max(), prediction.max())),
    )
    ends = add_diagonal(fig, row, column, low, high)
    fig.add_scatter(
        x=drawn["target"], y=drawn["prediction"], mode="markers", showlegend=False,
        marker={"size": 4, "opacity": 0.45, "color": colour_backbone(best["backbone"])},
        customdata=drawn[["id"]].to_numpy(), row=row, col=column,
        hovertemplate="%{customdata[0]}<br>true %{x:.4g}, predicted %{y:.4g}<extra></extra>",
    )  # fmt: skip
    fig.add_annotation(
        x=0.03, xref="x domain", y=0.97, yref="y domain", xanchor="left", yanchor="top",
        align="left", showarrow=False, font={"size": 11}, row=row, col=column,
        bgcolor="rgba(255,255,255,0.8)",
        text=f"{name_backbone(best['backbone'])}, dim {best['dim']}, "
        f"γ = {label_mixing(best['mixing'])}<br>{errors}, R² {r2:.3f}",
    )  # fmt: skip
    fig.update_xaxes(title_text=label_axis("true", unit), range=ends, row=row, col=column)
    anchor = next(fig.select_traces(row=row, col=column)).xaxis or "x"
    fig.update_xaxes(constrain="domain", row=row, col=column)
    fig.update_yaxes(
        range=ends, scaleanchor=anchor, constrain="domain", constraintoward="top",
        row=row, col=column,
    )  # fmt: skip
    if column == 1:
        fig.update_yaxes(title_text=label_axis("predicted", unit), row=row, col=column)
