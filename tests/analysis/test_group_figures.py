"""The figures on groups, geometry and relations draw what they are given, and refuse nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.figures.geometry import angle_variances, correlations, layers
from analysis.figures.groups import cluster_colours, cluster_table
from analysis.figures.screening import composition_bars, relation_map


def values(trace: object) -> np.ndarray:
    return np.array(trace.z, dtype=float)  # type: ignore[attr-defined]


def test_clusters_on_the_periodic_table() -> None:
    fig = cluster_table({1: 1, 8: 2, 16: 2, 26: 3, 27: 3}, {8: "2a"}, "Clusters")
    absent, present = fig.data
    shown = values(present)
    assert sorted(shown[np.isfinite(shown)]) == [1.0, 2.0, 2.0, 3.0, 3.0]
    assert np.isfinite(values(absent)).sum() == 118 - 5
    scale = [colour for _, colour in present.colorscale]
    assert len(set(scale)) == 3 and scale == [c for c in cluster_colours([1, 2, 2]) for _ in "ab"]
    assert any("2a" in text for row in present.text for text in row)
    with pytest.raises(ValueError, match="no element"):
        cluster_table({}, {}, "Clusters")


def test_many_clusters_have_colours_that_differ() -> None:
    assert len(set(cluster_colours([2] * 23))) == 23
    assert cluster_colours([2] * 25)[23:] == cluster_colours([2, 2])
    assert cluster_colours([1, 2, 1, 2])[1::2] == cluster_colours([2, 2])  # those alone take none


def test_correlations_of_each_kind() -> None:
    found = pd.DataFrame(
        {
            "backbone": ["cgcnn", "cgcnn", "megnet"],
            "strategy": ["handcrafted", "handcrafted", "learned"],
            "indicator": ["entropy", "fiedler", "entropy"],
            "pearson": [0.1, -0.2, 0.3],
            "spearman": [0.4, -0.5, 0.6],
        }
    )
    pearson, spearman = correlations(found).data
    assert list(pearson.y) == ["CGCNN, handcrafted", "MEGNet, learned"]
    assert list(pearson.x) == ["Fiedler value", "entropy"]
    np.testing.assert_allclose(values(pearson), [[-0.2, 0.1], [np.nan, 0.3]])
    np.testing.assert_allclose(values(spearman), [[-0.5, 0.4], [np.nan, 0.6]])
    with pytest.raises(ValueError, match="no correlation"):
        correlations(found.iloc[:0])


def test_layers_are_means_with_bands() -> None:
    rows = pd.DataFrame(
        {
            "task": "phonons",
            "backbone": "cgcnn",
            "strategy": "learned",
            "layer": [0, 0, 1, 1],
            "ari": [0.1, 0.3, 0.2, 0.6],
        }
    )
    band, line = layers(rows).data
    np.testing.assert_allclose(line.y, [0.2, 0.4])
    assert band.fill == "toself" and band.mode == "lines"
    with pytest.raises(ValueError, match="no ARI"):
        layers(rows.assign(ari=np.nan))


def test_angles_by_mixing() -> None:
    rows = pd.DataFrame(
        {
            "task": "phonons",
            "backbone": "cgcnn",
            "mixing": ["-4", "0", "4", "0"],
            "gamma": [-4.0, 0.0, 4.0, 0.0],
            "dim": 8,
            "angle_variance": [1.0, 2.0, np.nan, 4.0],
        }
    )
    (tiles,) = angle_variances(rows).data
    np.testing.assert_allclose(values(tiles), [[1.0, 3.0]])
    with pytest.raises(ValueError, match="both channels"):
        angle_variances(rows.iloc[2:3])


def test_bars_of_screening() -> None:
    screened = pd.DataFrame(
        {
            "task": ["a", "b"],
            "explained": [0.9, 0.2],
            "covered": [0.8, np.nan],
            "enters": [True, False],
        }
    )
    explained, covered = composition_bars(screened).data
    assert list(explained.y) == ["b", "a"] and list(explained.x) == [0.2, 0.9]
    assert list(covered.text) == ["", "0.80"]
    assert len(set(explained.marker.color)) == 2


def test_relations_beside_each_other() -> None:
    compared = pd.DataFrame(
        {
            "one": ["ours", "ours", "Magpie"],
            "other": ["Magpie", "Mat2Vec", "Mat2Vec"],
            "elements": 60,
            "correlation": [0.1, 0.2, 0.3],
            "p": 0.001,
        }
    )
    (tiles,) = relation_map(compared).data
    assert list(tiles.x) == ["ours", "Magpie", "Mat2Vec"]
    found = values(tiles)
    np.testing.assert_allclose(found, found.T)
    assert found[0, 2] == 0.2 and np.isnan(np.diagonal(found)).all()
