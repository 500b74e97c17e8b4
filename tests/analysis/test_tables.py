"""Element tables are made: 118 rows, filled where unseen, and described."""

from __future__ import annotations

import json

import numpy as np
import pytest

from analysis.cosine import accumulate
from analysis.distill import distill
from analysis.elements import NUMBERS, SYMBOLS, block, period, place
from analysis.tables import (
    complete,
    name_of,
    nearest_seen,
    sidecar,
)


def make_descriptor(seed: int = 0) -> np.ndarray:
    descriptor = np.zeros((119, 92), dtype=np.float32)
    random = np.random.default_rng(seed)
    descriptor[1:] = random.random((118, 92)) < 0.1
    return descriptor


def test_seen_rows_are_kept_and_flagged() -> None:
    numbers = np.array([26, 8, 1])
    vectors = np.arange(12.0).reshape(3, 4)
    table, seen = complete(numbers, vectors, make_descriptor())
    assert table.shape == (118, 4)
    assert np.flatnonzero(seen).tolist() == [0, 7, 25]
    for z, vector in zip(numbers, vectors, strict=True):
        np.testing.assert_array_equal(table[z - 1], vector)
    assert np.isfinite(table).all()


def test_unseen_row_is_the_weighted_mean_of_the_three_most_similar() -> None:
    descriptor = np.zeros((119, 92))
    descriptor[10, :4] = 1  # unseen
    descriptor[1, :4] = 1  # cosine 1
    descriptor[2, :2] = 1  # cosine 2 / sqrt(8)
    descriptor[3, 2:4] = 1  # the same
    descriptor[4, 0] = 1  # cosine 1 / 2, too far
    weights = nearest_seen([1, 2, 3, 4], descriptor)[10]
    half = 2 / np.sqrt(8)
    total = 1 + 2 * half
    assert weights == pytest.approx({1: 1 / total, 2: half / total, 3: half / total})
    vectors = np.array([[1.0], [2.0], [3.0], [100.0]])
    table, _ = complete([1, 2, 3, 4], vectors, descriptor)
    assert table[9, 0] == pytest.approx((1 + 2 * half + 3 * half) / total)


def test_equal_similarity_goes_to_the_lower_atomic_number() -> None:
    descriptor = np.zeros((119, 92))
    descriptor[[10, 1, 2, 3, 4, 5], 0] = 1
    assert sorted(nearest_seen([5, 4, 3, 2, 1], descriptor)[10]) == [1, 2, 3]


def test_nothing_similar_gives_equal_weights() -> None:
    weights = nearest_seen([1, 2], np.zeros((119, 92)))
    assert weights[3] == {1: 0.5, 2: 0.5}
    assert set(weights) == set(range(3, 119))


@pytest.mark.parametrize("numbers", [[], [1, 1], [0, 1], [1, 119], [1, 2, 3]])
def test_impossible_elements_are_refused(numbers: list[int]) -> None:
    with pytest.raises(ValueError, match="atomic numbers"):
        complete(numbers, np.ones((2, 3)), make_descriptor())


def test_sidecar_says_where_each_row_comes_from() -> None:
    random = np.random.default_rng(0)
    models = [
        (np.array([1, 3, 8, 9]), random.normal(size=(4, 8))),
        (np.array([1, 3, 8]), random.normal(size=(3, 8))),
    ]
    sums = accumulate(models)
    numbers = sums.numbers()
    distilled, plain = distill(sums.mean()[np.ix_(numbers, numbers)], numbers, dim=2)
    made = sidecar(
        strategy="S",
        distilled=distilled,
        sums=sums,
        descriptor=make_descriptor(),
        tasks=["phonons", "dielectric"],
        models=2,
        selected_on="test_error",
    )
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["table"] == "Mat2Vec-S-2" and made["standardised"]
    assert "normalised_stress" not in made and made["stress_1"] == distilled.stress_1
    assert name_of("S", plain) == "Mat2Vec-S-2-plain"
    assert "network" in made["use"]
    assert made["selection_leaks_test_data"] is True
    assert made["tasks"] == ["dielectric", "phonons"]
    assert list(made["elements"]) == list(SYMBOLS[1:])
    assert made["elements_seen"] == 4
    assert made["elements"]["F"]["models"] == 1
    assert made["elements"]["O"]["models"] == 2
    partners = [sums.spread()[8, z] for z in (1, 3, 9)]
    assert made["elements"]["O"]["spread"] == pytest.approx(np.mean(partners))
    assert made["elements"]["O"]["filled_from"] is None
    iron = made["elements"]["Fe"]
    assert (iron["seen"], iron["models"], iron["spread"]) == (False, 0, None)
    assert len(iron["filled_from"]) == 3
    assert sum(iron["filled_from"].values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("strategy", "on", "leaking"),
    [("S", "val_error", False), ("S", "test_error", True), ("H", "test_error", False)],
)
def test_only_choosing_on_test_leaks(strategy: str, on: str, leaking: bool) -> None:
    sums = accumulate([(np.array([1, 3, 8]), np.random.default_rng(0).normal(size=(3, 4)))])
    numbers = sums.numbers()
    made = sidecar(
        strategy=strategy,
        distilled=distill(sums.mean()[np.ix_(numbers, numbers)], numbers, dim=2)[0],
        sums=sums,
        descriptor=make_descriptor(),
        tasks=["phonons"],
        models=1,
        selected_on=on,
    )
    assert made["selection_leaks_test_data"] is leaking


def test_every_element_has_a_place_of_its_own() -> None:
    places = [place(z) for z in range(1, 119)]
    assert len(set(places)) == 118
    expected = {"H": (1, 1), "He": (1, 18), "B": (2, 13), "Ba": (6, 2), "Lu": (6, 3), "Og": (7, 18)}
    assert {symbol: place(NUMBERS[symbol]) for symbol in expected} == expected
    assert [block(NUMBERS[s]) for s in ("He", "B", "Zn", "Yb", "Lu")] == ["s", "p", "d", "f", "d"]
    assert [period(z) for z in (1, 2, 3, 57, 87, 118)] == [1, 1, 2, 6, 7, 7]
