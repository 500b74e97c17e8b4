"""Cosine distances and their sums, against loops and whatever the executor."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from analysis.cosine import (
    DistanceSums,
    accumulate,
    aggregate,
    chunks,
    cosine_distances,
    merge,
    normalised,
    to_frame,
    to_matrix,
)

Model = tuple[np.ndarray, np.ndarray]


def make_models(count: int, seed: int = 0) -> dict[str, Model]:
    generator = np.random.default_rng(seed)
    models = {}
    for i in range(count):
        numbers = np.sort(generator.choice(np.arange(1, 40), size=12, replace=False))
        dim = int(generator.choice([8, 16]))
        models[f"{i:03d}"] = (numbers.astype(np.uint8), generator.normal(size=(12, dim)))
    return models


def same_bits(a: DistanceSums, b: DistanceSums) -> bool:
    return all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in ("total", "squares", "count")
    )


def test_distances_equal_the_formula_pair_by_pair() -> None:
    vectors = np.random.default_rng(1).normal(size=(7, 5))
    found = cosine_distances(vectors)
    for i, a in enumerate(vectors):
        for j, b in enumerate(vectors):
            expected = 1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
            assert found[i, j] == pytest.approx(expected, abs=1e-12)
    assert np.array_equal(found, found.T)
    assert not np.diagonal(found).any()


def test_distances_ignore_length_and_rotation() -> None:
    generator = np.random.default_rng(2)
    vectors = generator.normal(size=(9, 6))
    rotation, _ = np.linalg.qr(generator.normal(size=(6, 6)))
    scaled = (vectors * generator.uniform(0.1, 9, size=(9, 1))) @ rotation
    np.testing.assert_allclose(cosine_distances(scaled), cosine_distances(vectors), atol=1e-12)


@pytest.mark.parametrize(
    ("value", "reason"), [(0.0, "is zero"), (np.nan, "is not finite"), (np.inf, "is not finite")]
)
def test_vector_without_direction_is_refused_by_name(value: float, reason: str) -> None:
    vectors = np.ones((3, 4))
    vectors[1] = value
    with pytest.raises(ValueError, match=f"element Fe {reason}"):
        cosine_distances(vectors, [8, 26, 29])
    with pytest.raises(ValueError, match=f"row 1 {reason}"):
        cosine_distances(vectors)


def test_median_of_the_non_zero_distances_becomes_one() -> None:
    vectors = np.random.default_rng(3).normal(size=(6, 4))
    vectors[1] = 3 * vectors[0]  # a zero distance, which must not count
    found = normalised(cosine_distances(vectors))
    pairs = found[np.triu_indices(6, k=1)]
    assert np.median(pairs[pairs > 1e-9]) == pytest.approx(1)
    assert (pairs <= 1e-9).sum() == 1


def test_matrix_without_a_distance_stays_as_it_is() -> None:
    assert np.array_equal(normalised(np.zeros((1, 1))), np.zeros((1, 1)))
    assert not normalised(cosine_distances(np.ones((3, 2)))).any()


def test_sums_equal_brute_force_over_the_models_that_have_both() -> None:
    models = list(make_models(6).values())
    sums = accumulate(models)
    mean, spread = sums.mean(), sums.spread()
    for a in range(1, 40):
        for b in range(1, 40):
            values = []
            for numbers, vectors in models:
                if a in numbers and b in numbers:
                    d = normalised(cosine_distances(vectors))
                    values.append(d[list(numbers).index(a), list(numbers).index(b)])
            assert sums.count[a, b] == len(values)
            if values:
                assert mean[a, b] == pytest.approx(np.mean(values), abs=1e-12)
                assert spread[a, b] == pytest.approx(np.std(values), abs=1e-7)
            else:
                assert np.isnan(mean[a, b])
                assert np.isnan(spread[a, b])
    assert sums.count.dtype == np.int64
    assert sums.models()[5] == sum(5 in numbers for numbers, _ in models)
    assert sums.numbers().tolist() == sorted({int(z) for n, _ in models for z in n})


@pytest.mark.parametrize("numbers", [[1, 1, 2], [0, 1, 2], [1, 2, 119], [1, 2]])
def test_impossible_atomic_numbers_are_refused(numbers: list[int]) -> None:
    with pytest.raises(ValueError, match="atomic numbers"):
        accumulate([(np.array(numbers), np.eye(3))])


def test_chunks_are_runs_of_the_sorted_keys() -> None:
    keys = [f"{i:02d}" for i in range(35)]
    shuffled = keys.copy()
    random.Random(0).shuffle(shuffled)
    found = chunks(shuffled)
    assert [len(chunk) for chunk in found] == [16, 16, 3]
    assert [key for chunk in found for key in chunk] == keys
    assert chunks([]) == []


def map_with_threads(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(work, items))


def map_backwards(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    return [work(item) for item in reversed(list(items))]


def map_shuffled(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    order = list(items)
    random.Random(5).shuffle(order)
    return [work(item) for item in order]


@pytest.mark.parametrize("executor", [map, map_with_threads, map_backwards, map_shuffled])
def test_aggregate_has_the_same_bits_whatever_runs_the_chunks(executor: Any) -> None:
    models = make_models(70, seed=4)

    def read(keys: Sequence[str]) -> list[Model]:
        return [models[key] for key in keys]

    expected = merge(accumulate(read(chunk)) for chunk in chunks(list(models)))
    keys = list(models)
    random.Random(1).shuffle(keys)
    assert same_bits(aggregate(read, keys, map=executor), expected)
    np.testing.assert_allclose(expected.mean(), accumulate(read(sorted(models))).mean(), rtol=1e-12)


def test_order_of_merging_matters_so_the_test_above_can_fail() -> None:
    models = make_models(70, seed=4)
    parts = [accumulate([models[key] for key in chunk]) for chunk in chunks(list(models))]
    assert not same_bits(merge(parts), merge(reversed(parts)))


def test_pairs_survive_the_way_to_a_frame_and_back() -> None:
    sums = accumulate(list(make_models(2, seed=8).values()))
    frame = to_frame(sums, "S")
    assert (frame["a"] < frame["b"]).all()
    assert frame.dtypes[["a", "b"]].tolist() == [np.uint8, np.uint8]
    numbers, distances = to_matrix(frame, "S")
    assert numbers.tolist() == sums.numbers().tolist()
    np.testing.assert_array_equal(distances, sums.mean()[np.ix_(numbers, numbers)])
    assert np.isnan(distances).any()  # two models of different elements: some pairs are unknown
    with pytest.raises(ValueError, match="no distances of table 'H'"):
        to_matrix(frame, "H")
