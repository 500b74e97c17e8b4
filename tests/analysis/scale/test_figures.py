"""Figures of a scale."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.elements import SYMBOLS
from analysis.figures.scale import _lanes, gap_bars, pareto_front, relation_maps, scale_line

POSITIONS = {"Li": 1.0, "Na": 1.01, "K": 1.02, "Fe": 3.0, "La": 4.0, "Cl": 6.0}


def test_every_element_is_on_the_line_once() -> None:
    fig = scale_line(POSITIONS)
    texts = [text for trace in fig.data if trace.text is not None for text in trace.text]
    assert sorted(texts) == sorted(f"<b>{symbol}</b>" for symbol in POSITIONS)
    blocks = {trace.name for trace in fig.data if trace.name}
    assert blocks == {"s block", "d block", "p block", "f block"}


def test_crowded_elements_stand_one_over_another() -> None:
    fig = scale_line(POSITIONS)
    (alkali,) = [t for t in fig.data if t.text is not None and "<b>Na</b>" in t.text]
    heights = dict(zip(alkali.text, alkali.y, strict=True))
    assert len({heights[f"<b>{symbol}</b>"] for symbol in ("Li", "Na", "K")}) == 3


def test_lanes_are_used_again_when_they_are_free() -> None:
    assert _lanes([0.0, 1.0, 1.2, 1.4, 2.5], 1.0) == [0, 0, 1, 2, 0]


def test_rows_join_to_one_axis() -> None:
    positions = {symbol: float(z) for z, symbol in enumerate(SYMBOLS[1:104], 1)}
    fig = scale_line(positions, rows=4)
    ends = [note.text for note in fig.layout.annotations]
    assert ends[0] == "1" and ends[-1] == "103" and len(ends) == 8
    assert ends[1:-1:2] == ends[2::2]


def test_a_line_needs_two() -> None:
    with pytest.raises(ValueError, match="two elements"):
        scale_line({"H": 1.0})


def test_maps_are_logarithmic_and_leave_the_unseen_grey() -> None:
    replaceability = np.array([[0, 0.1, 0], [1.0, 0, 0.01], [0, 0, 0]])
    fig = relation_maps(["H", "He", "Li"], replaceability, 10 * (1 - np.eye(3)))
    left, right = fig.data
    assert left.z[0][1] == pytest.approx(-1) and left.z[1][0] == pytest.approx(0)
    assert np.isnan(left.z[2]).all() and np.isnan(left.z[0][0])
    assert right.z[0][1] == pytest.approx(1) and np.isnan(right.z[1][1])


def test_bars_are_in_proportion_to_an_even_scale() -> None:
    fig = gap_bars(["Li", "Na", "K"], {1.0: [2.0, 6.0], 100.0: [1.0, 1.0]})
    assert [list(trace.y) for trace in fig.data] == [[0.5, 1.5], [1.0, 1.0]]
    assert list(fig.data[0].customdata) == ["Li–Na", "Na–K"]


def test_the_front_marks_what_was_taken() -> None:
    front = pd.DataFrame(
        {
            "lambda": [1.0, 6.0, 2.0, 3.0],
            "eta": [0.1, 0.1, 0.1, 0.5],
            "source": ["grid", "grid", "refined", "optuna"],
            "pull": [1.0, 3.0, 2.0, 2.5],
            "crowding": [9.0, 1.0, 4.0, 5.0],
            "on_hull": [True, True, True, False],
            "variance": [3.0, 1.0, 2.0, 1.5],
            "chosen": [True, False, False, False],
        }
    )
    fig = pareto_front(front)
    taken = [trace for trace in fig.data if trace.name == "taken"]
    assert [(t.x[0], t.y[0]) for t in taken] == [(1.0, 9.0), (1.0, 3.0)]
    (asked,) = [t for t in fig.data if t.name == "asked for"]
    assert list(asked.text) == ["1", "6"]
    (hull,) = [t for t in fig.data if t.name == "convex hull"]
    assert list(hull.x) == [1.0, 2.0, 3.0]
