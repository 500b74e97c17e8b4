"""Tables of element vectors compared with a reference, fold by fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.figures.style import CATEGORIES, MUTED, finish, label_axis, panels, shorten

COLUMNS = 3
NAMES = {"mae": "difference in MAE", "roc_auc": "difference in area under the ROC curve"}


def paired_differences(
    compared: Sequence[Mapping[str, Any]],
    folds: Mapping[str, pd.DataFrame],
    reference: str,
    units: Mapping[str, str],
) -> go.Figure:
    """Differences of each fold from the reference, with the mean and its 95 % interval.

    Significant differences are coloured.

    Args:
        compared: task, table, metric and, but for the reference, difference, low, high (None for
            one fold), established, and detectable, the smallest detectable difference.
        folds: for each task the differences, one row per fold and one column per table.
        reference: name of the table that the others are compared with.
        units: of each task's target.
    """
    tasks = list(dict.fromkeys(row["task"] for row in compared))
    columns = min(COLUMNS, len(tasks))
    tallest = max((sum(row["task"] == task for row in compared) for task in tasks), default=1)
    fig = panels(
        -(-len(tasks) // columns), columns, [shorten(task, 30) for task in tasks],
        panel_height=60 + 34 * max(tallest, 1), gap=100, horizontal=0.16,
    )  # fmt: skip
    for place, task in enumerate(tasks):
        row, column = place // columns + 1, place % columns + 1
        shown = [one for one in compared if one["task"] == task]
        _add_panel(fig, row, column, shown, folds[task])
        metric = shown[0]["metric"]
        unit = units.get(task, "") if metric == "mae" else ""
        fig.update_xaxes(title_text=label_axis(NAMES[metric], unit), row=row, col=column)
    return finish(
        fig,
        title=f"What each table changes against {reference}",
        subtitle="dots: folds; bars: mean and its own 95 % interval, corrected for the folds'"
        " common training data, not for the number of tables; in colour what is established;"
        " ticks: smallest detectable differences",
        legend=False,
    )


def _add_panel(
    fig: go.Figure,
    row: int,
    column: int,
    shown: Sequence[Mapping[str, Any]],
    folds: pd.DataFrame,
) -> None:
    fig.add_vline(x=0, line={"color": MUTED, "width": 1, "dash": "dot"}, row=row, col=column)
    for one in shown:
        name = shorten(one["table"], 26)
        colour = CATEGORIES[0] if one["established"] else MUTED
        differences = folds[one["table"]].dropna()
        fig.add_scatter(
            x=differences, y=[name] * len(differences), mode="markers", showlegend=False,
            marker={"size": 5, "color": colour, "opacity": 0.45},
            customdata=differences.index, row=row, col=column,
            hovertemplate="%{y}, fold %{customdata}: %{x:.4g}<extra></extra>",
        )  # fmt: skip
        bounded = one["low"] is not None
        fig.add_scatter(
            x=[one["difference"]], y=[name], mode="markers", showlegend=False,
            marker={"size": 9, "color": colour, "symbol": "diamond"}, row=row, col=column,
            error_x={
                "type": "data", "symmetric": False, "color": colour, "thickness": 2, "width": 5,
                "array": [one["high"] - one["difference"]] if bounded else [0],
                "arrayminus": [one["difference"] - one["low"]] if bounded else [0],
            },
            hovertemplate="%{y}, mean: %{x:.4g}<extra></extra>",
        )  # fmt: skip
        if smallest := one.get("detectable"):
            fig.add_scatter(
                x=[-smallest, smallest], y=[name] * 2, mode="markers", showlegend=False,
                marker={"size": 12, "symbol": "line-ns-open", "color": MUTED},
                hovertemplate="%{y}, smallest detectable: %{x:.4g}<extra></extra>",
                row=row, col=column,
            )  # fmt: skip
    fig.update_yaxes(autorange="reversed", row=row, col=column)
