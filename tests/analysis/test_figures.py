"""Traces and values of the figures, on full, small and broken grids."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from analysis.elements import SYMBOLS
from analysis.figures.curves import learning_curves
from analysis.figures.dimension import REGIMES, dimension_effect, relative_errors
from analysis.figures.heatmap import choose_cut, cosine_heatmap
from analysis.figures.mixing import mae_vs_gamma
from analysis.figures.parity import parity
from analysis.figures.periodic import periodic_table
from analysis.figures.scale import scale_line
from analysis.figures.style import BLOCK_COLOURS, label_mixing, panels, shorten
from analysis.figures.winners import count_wins, winners

Make = Callable[..., pd.DataFrame]
LABELS = [label_mixing(m) for m in ("H", "-4", "-2", "0", "2", "4", "L")]


def find(fig: go.Figure, name: str) -> list[go.Scatter]:
    return [trace for trace in fig.data if trace.name == name and trace.hoverinfo != "skip"]


def make_curves(ledger: pd.DataFrame, epochs: int = 20) -> pd.DataFrame:
    parts = []
    for _, row in ledger.iterrows():
        epoch = np.arange(1, epochs + 1)
        kept = row[["key", "task", "backbone", "mixing", "gamma", "dim", "fold", "unit"]].to_dict()
        parts.append(
            pd.DataFrame({**kept, "epoch": epoch, "val_error": row["val_error"] + 1 / epoch})
        )
    return pd.concat(parts, ignore_index=True)


def make_predictions(ledger: pd.DataFrame, n: int = 30) -> pd.DataFrame:
    target = np.linspace(0, 10, n)
    parts = []
    for _, row in ledger[ledger["status"] == "done"].iterrows():
        for part, shift in (("test", 0.5), ("validation", 99.0)):
            columns = {"key": row["key"], "part": part, "id": [f"mb-{i}" for i in range(n)]}
            parts.append(pd.DataFrame({**columns, "target": target, "prediction": target + shift}))
    return pd.concat(parts, ignore_index=True)


def test_error_against_mixing_draws_a_line_per_dimension_and_panel(make_ledger: Make) -> None:
    ledger = make_ledger()
    fig = mae_vs_gamma(ledger)
    lines = find(fig, "dim 16")
    assert len(lines) == len(find(fig, "dim 64")) == 4
    assert [sum(bool(t.showlegend) for t in find(fig, f"dim {d}")) for d in (16, 64)] == [1, 1]
    first = lines[0]  # dielectric, CGCNN
    rows = ledger[ledger["key"].str.startswith("dielectric-cgcnn-16-")]
    means = [rows.loc[rows["mixing"].map(label_mixing) == m, "test_error"].mean() for m in LABELS]
    assert list(first.x) == LABELS
    np.testing.assert_allclose(first.y, means)


def test_a_mixing_without_a_number_is_a_point_of_its_own(make_ledger: Make) -> None:
    ledger = make_ledger(tasks=["phonons"], backbones=["cgcnn"], mixings=["H", "0", "2", "L"])
    ledger.loc[ledger["mixing"] == "2", ["mixing", "gamma"]] = ["auto", np.nan]
    lines = [
        trace for trace in mae_vs_gamma(ledger).data if trace.mode == "lines+markers" and trace.name
    ]
    drawn = sorted({tuple(trace.x) for trace in lines})
    assert drawn == [("H", "0", "L"), ("auto",)]
    assert all(trace.error_y.visible == (tuple(trace.x) == ("auto",)) for trace in lines)
    assert sum(bool(trace.showlegend) for trace in lines) == ledger["dim"].nunique()


def test_band_is_one_deviation_and_absent_for_a_single_fold(make_ledger: Make) -> None:
    ledger = make_ledger(tasks=["phonons"], backbones=["cgcnn"], dims=[16])
    fig = mae_vs_gamma(ledger)
    bands = [trace for trace in fig.data if trace.fill == "toself"]
    assert len(bands) == 1
    at_h = ledger.loc[ledger["mixing"] == "H", "test_error"]
    assert bands[0].y[0] == pytest.approx(at_h.mean() + at_h.std())
    assert bands[0].y[-1] == pytest.approx(at_h.mean() - at_h.std())
    single = mae_vs_gamma(ledger[ledger["fold"] == 0])
    assert not [trace for trace in single.data if trace.fill == "toself"]
    assert "one fold" in single.layout.title.text


def test_lowest_test_error_and_choice_of_validation_are_marked_apart(make_ledger: Make) -> None:
    ledger = make_ledger(tasks=["phonons"], backbones=["cgcnn"])
    ledger.loc[(ledger["mixing"] == "4") & (ledger["dim"] == 16), "test_error"] = 1.0
    fig = mae_vs_gamma(ledger)
    (star,), (ring,) = find(fig, "lowest test MAE"), find(fig, "picked on validation")
    assert (list(star.x), list(star.y)) == (["4"], [1.0])
    assert list(ring.x) == [label_mixing("-2")]


def test_near_reference_is_drawn_and_far_one_named(make_ledger: Make) -> None:
    ledger = make_ledger(tasks=["phonons"], backbones=["cgcnn"])
    plain = mae_vs_gamma(ledger)
    fig = mae_vs_gamma(ledger, {"phonons": {"CGCNN": 57.76, "dummy": 324.0}, "other": {"X": 1.0}})
    lines = [shape for shape in fig.layout.shapes if shape.y0 == shape.y1]
    assert [line.y0 for line in lines] == [57.76]
    texts = [a.text for a in fig.layout.annotations]
    assert "CGCNN 57.8" in texts
    assert "off scale: dummy 324" in texts
    assert not plain.layout.shapes
    assert fig.layout.yaxis.range[1] < 324


def test_axes_name_the_unit(make_ledger: Make) -> None:
    fig = mae_vs_gamma(make_ledger(tasks=["dielectric", "phonons"], backbones=["cgcnn"]))
    assert fig.layout.yaxis.title.text == "test MAE"
    assert fig.layout.yaxis2.title.text == "test MAE (cm⁻¹)"
    assert list(fig.layout.xaxis.categoryarray) == LABELS


def test_winners_by_backbone_are_shares_of_the_cells(make_ledger: Make) -> None:
    ledger = make_ledger()
    fig = winners(ledger)
    assert [trace.name for trace in fig.data] == ["CGCNN", "MEGNet", "chance"]
    assert list(fig.data[0].x) == LABELS
    np.testing.assert_allclose(fig.data[0].y, [0, 0, 1, 0, 0, 0, 0])
    np.testing.assert_allclose(fig.data[1].y, [0, 0, 0, 1, 0, 0, 0])
    np.testing.assert_allclose(fig.data[2].y, np.full(7, 1 / 7))
    assert fig.data[0].y[2] - fig.data[0].error_y.arrayminus[2] == pytest.approx(0.025 ** (1 / 6))
    assert "leaks" not in fig.layout.title.text
    assert "leaks" in winners(ledger, on="test_error").layout.title.text


def test_winners_by_task_add_up_to_one(make_ledger: Make) -> None:
    ledger = make_ledger()
    ledger.loc[ledger["key"] == "phonons-cgcnn-16-L-0", "val_error"] = 0.0
    fig = winners(ledger, by="task")
    assert len(fig.data) == 7 * 2
    learned = next(t for t in fig.data if t.name == "L" and t.xaxis == "x")
    assert dict(zip(learned.y, learned.x, strict=True)) == pytest.approx(
        {"dielectric": 0.0, "phonons": 1 / 6}
    )
    totals: dict[tuple[str, str], float] = {}
    for trace in fig.data:
        for share, task in zip(trace.x, trace.y, strict=True):
            panel = (trace.xaxis, task)
            totals[panel] = totals.get(panel, 0.0) + share
    assert totals == pytest.approx(dict.fromkeys(totals, 1.0))
    assert len(totals) == 4
    shown = [trace.name for trace in fig.data if trace.showlegend]
    assert shown == LABELS  # also mixings that never win


def test_wins_are_counted_per_task_and_backbone(make_ledger: Make) -> None:
    wins = count_wins(make_ledger())
    assert wins["wins"].tolist() == wins["cells"].tolist() == [6, 6, 6, 6]


def test_effect_of_dimension_is_relative_to_the_best(make_ledger: Make) -> None:
    ledger = make_ledger(tasks=["phonons"], backbones=["cgcnn"])
    found = relative_errors(ledger).set_index(["regime", "dim"])["relative"]
    assert found.min() == 1
    means = ledger.groupby(["mixing", "dim"])["test_error"].mean()
    led = means[["H", "-4", "-2", "0"]].groupby("dim").mean()
    learned = means[["2", "4", "L"]].groupby("dim").mean()
    assert found[REGIMES[0], 16] == pytest.approx(led[16] / led[64])
    assert found[REGIMES[1], 64] == pytest.approx(learned[64] / led[64])
    fig = dimension_effect(ledger)
    assert len(fig.data) == 2
    assert list(fig.data[0].x) == ["16", "64"]


def test_mixing_missing_at_one_dimension_does_not_pass_for_an_effect(
    make_ledger: Make, fail: Make
) -> None:
    ledger = make_ledger(tasks=["phonons"], backbones=["cgcnn"], folds=1)
    full = relative_errors(ledger[~ledger["mixing"].isin(["H"])])
    broken = relative_errors(fail(ledger, "phonons-cgcnn-64-H-0"))
    pd.testing.assert_frame_equal(full, broken)


def test_heat_map_shows_all_pairs_below_and_near_ones_above_the_diagonal() -> None:
    distances = np.array([[0, 1, 4], [1, 0, 2], [4, 2, 0]], dtype=float)
    fig = cosine_heatmap(distances, ["Fe", "H", "O"], cut=1.5)
    assert list(fig.layout.xaxis.ticktext) == ["H", "O", "Fe"]
    shown = np.array(fig.data[0].z, dtype=float)
    nan = np.nan
    np.testing.assert_array_equal(shown, [[nan, nan, 1], [2, nan, nan], [1, 4, nan]])
    assert (fig.data[0].zmin, fig.data[0].zmax) == (1, 4)
    assert fig.layout.yaxis.range[0] > fig.layout.yaxis.range[1]
    assert "under 1.5" in fig.layout.title.text
    assert "grey" not in fig.layout.title.text


def test_heat_map_marks_blocks_periods_and_unknown_pairs() -> None:
    symbols = list(SYMBOLS[1:90])
    distances = np.random.default_rng(0).random((89, 89))
    distances = distances + distances.T
    distances[3, 5] = distances[5, 3] = np.nan
    fig = cosine_heatmap(distances, symbols)
    blocks = [trace.name for trace in fig.data[1:]]
    assert blocks == ["s block", "p block", "d block", "f block"]
    assert "period 6" in [a.text for a in fig.layout.annotations]
    lines = [s for s in fig.layout.shapes if s.type is None or s.x0 == s.x1]
    upright = {s.x0 for s in lines if s.x0 == s.x1}
    assert {1.5, 9.5, 17.5, 35.5, 53.5, 85.5} <= upright  # after He, Ne, Ar, Kr, Xe, Rn
    assert "grey: no model has both" in fig.layout.title.text


def test_default_cut_leaves_the_closest_fifth() -> None:
    distances = np.zeros((11, 11))
    pairs = np.triu_indices(11, k=1)
    distances[pairs] = np.arange(1, 56)
    share = ((distances[pairs] < choose_cut(distances)).sum()) / 55
    assert share == pytest.approx(0.2, abs=0.03)
    assert choose_cut(np.full((2, 2), np.nan)) == 0


def test_heat_map_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="'Q' is not the symbol"):
        cosine_heatmap(np.zeros((2, 2)), ["H", "Q"])
    with pytest.raises(ValueError, match="shape"):
        cosine_heatmap(np.zeros((2, 2)), ["H"])


def tile(trace: go.Heatmap, row: int, column: int) -> float:
    return float(np.array(trace.z, dtype=float)[row - 1, column - 1])


def test_periodic_table_colours_what_has_a_value_and_greys_the_rest() -> None:
    fig = periodic_table({1: 10.0, 26: 1000.0, 57: 100.0}, unit="crystals", logarithmic=True)
    absent, present = fig.data
    assert tile(present, 1, 1) == 1
    assert tile(present, 4, 8) == 3
    assert tile(present, 9, 4) == 2  # lanthanum, first of the f rows below the gap
    assert np.isnan(tile(present, 1, 18))
    assert np.isnan(tile(absent, 1, 1))
    assert np.isfinite(np.array(absent.z, dtype=float)).sum() == 115
    assert "1,000" in present.text[3][7]
    assert present.customdata[3][7] == "Fe (Z = 26): 1000 crystals"
    assert "3 of 118 elements" in fig.layout.title.text
    assert list(present.colorbar.ticktext) == ["10", "100", "1,000"]


def test_periodic_table_takes_other_text_and_drops_what_has_no_logarithm() -> None:
    fig = periodic_table({1: 0.0, 8: 4.0, 9: float("nan")}, text={8: "four"}, logarithmic=True)
    assert len(fig.data) == 2
    assert np.isfinite(np.array(fig.data[1].z, dtype=float)).sum() == 1
    assert "four" in fig.data[1].text[1][15]
    assert fig.data[1].showscale is False
    assert len(periodic_table({}).data) == 1
    with pytest.raises(ValueError, match="119 is not an atomic number"):
        periodic_table({119: 1.0})


def test_learning_curves_draw_each_model_in_order_of_epoch(make_ledger: Make) -> None:
    ledger = make_ledger(tasks=["phonons"], folds=1)
    curves = make_curves(ledger).sample(frac=1, random_state=0)
    fig = learning_curves(curves)
    assert len(fig.data) == 28
    assert [t.name for t in fig.data if t.showlegend].__len__() == 7
    assert list(fig.data[0].x) == list(range(1, 21))
    assert np.all(np.diff(np.array(fig.data[0].y)) < 0)
    assert fig.layout.yaxis.type == "log"
    few = learning_curves(curves, at_most=3)
    assert len(few.data) == 6
    assert "3 models a panel" in few.layout.title.text


def test_learning_curves_drop_epochs_without_a_number(make_ledger: Make) -> None:
    curves = make_curves(make_ledger(tasks=["phonons"], backbones=["cgcnn"], dims=[16], folds=1))
    curves.loc[curves["epoch"] > 5, "val_error"] = np.nan
    curves.loc[curves["mixing"] == "L", "val_error"] = np.inf
    fig = learning_curves(curves)
    assert len(fig.data) == 6
    assert all(len(trace.x) == 5 for trace in fig.data)
    with pytest.raises(ValueError, match="no learning curve"):
        learning_curves(curves.assign(val_error=np.nan))


def test_parity_pools_the_test_folds_of_the_choice(make_ledger: Make) -> None:
    ledger = make_ledger()
    fig = parity(make_predictions(ledger), ledger)
    points = [trace for trace in fig.data if trace.mode == "markers"]
    assert len(points) == 2  # one panel a task
    assert len(points[0].x) == 3 * 30  # its three folds, not the validation rows
    np.testing.assert_allclose(np.array(points[0].y) - np.array(points[0].x), 0.5)
    texts = [a.text for a in fig.layout.annotations]
    assert any("MAE 0.5," in text and "CGCNN" in text for text in texts)


def test_parity_draws_at_most_two_thousand_points(make_ledger: Make) -> None:
    ledger = make_ledger(tasks=["phonons"], backbones=["cgcnn"], dims=[16])
    fig = parity(make_predictions(ledger, n=1000), ledger)
    points = next(trace for trace in fig.data if trace.mode == "markers")
    assert len(points.x) == 2000
    with pytest.raises(ValueError, match="no test predictions"):
        parity(make_predictions(ledger).query("part == 'validation'"), ledger)


DRAW: dict[str, Callable[[pd.DataFrame], go.Figure]] = {
    "mixing": mae_vs_gamma,
    "winners": winners,
    "winners by task": lambda ledger: winners(ledger, by="task"),
    "dimension": dimension_effect,
    "parity": lambda ledger: parity(make_predictions(ledger), ledger),
    "curves": lambda ledger: learning_curves(make_curves(ledger)),
}


@pytest.mark.parametrize("name", DRAW)
def test_smallest_grid_can_be_drawn(make_ledger: Make, name: str) -> None:
    ledger = make_ledger(["phonons"], ["cgcnn"], [16], ["H"], folds=1)
    fig = DRAW[name](ledger)
    drawn = [t for t in fig.data if t.x is not None and len(t.x)]
    assert drawn
    assert "NaN" not in fig.to_json()


@pytest.mark.parametrize("name", DRAW)
def test_holes_and_failures_do_not_change_the_rest(
    make_ledger: Make, fail: Make, name: str
) -> None:
    ledger = make_ledger()
    whole = ledger[~((ledger["task"] == "phonons") & (ledger["backbone"] == "megnet"))]
    failed = fail(whole, "phonons-cgcnn-16-L-0")
    absent = whole[whole["key"] != "phonons-cgcnn-16-L-0"]
    assert DRAW[name](failed).to_json() == DRAW[name](absent).to_json()


@pytest.mark.parametrize("name", [n for n in DRAW if n not in {"curves", "parity"}])
def test_grid_without_a_finished_model_is_refused(make_ledger: Make, name: str) -> None:
    with pytest.raises(ValueError, match="no finished model"):
        DRAW[name](make_ledger(folds=1).assign(status="failed"))


def test_long_names_are_cut_in_the_middle() -> None:
    assert shorten("phonons") == "phonons"
    assert shorten("a" * 30 + "b" * 30, 11) == "aaaaa…bbbbb"


# ---------------------------------------------------------------------------------- all figures


def test_a_misspelt_option_of_panels_is_refused() -> None:
    with pytest.raises(TypeError, match="panel_hight"):
        panels(1, 1, ["a"], panel_hight=3)  # type: ignore[call-arg]


def test_a_block_has_one_colour_in_all_figures() -> None:
    figures = (
        cosine_heatmap(np.zeros((4, 4)), ["H", "O", "Fe", "Ce"], cut=1.0),
        scale_line({"H": 1.0, "O": 2.0, "Fe": 3.0, "Ce": 4.0}),
    )
    for fig in figures:
        drawn = {t.name: t.marker.color for t in fig.data if str(t.name).endswith(" block")}
        assert drawn == {f"{name} block": colour for name, colour in BLOCK_COLOURS.items()}
