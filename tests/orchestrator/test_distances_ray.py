"""Distances summed on actors: the same bits as in one process, whatever the number of actors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import cosine
from orchestrator.grid.distances import mixed_vectors, sum_distances
from orchestrator.interface.errors import UsageError
from orchestrator.nodes import cluster
from orchestrator.nodes.actors import actor_map
from orchestrator.runs.ledger import EMBEDDINGS

pytestmark = pytest.mark.usefixtures("ray_cluster")
MODELS = 3 * cosine.CHUNK + 5  # of one table: chunks, the last one not full


def models() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(11)
    found = {}
    for number in range(2 * MODELS):
        numbers = np.sort(rng.choice(np.arange(1, 95), rng.integers(20, 40), replace=False))
        found[f"{rng.integers(16**6):06x}{number:03d}"] = (
            numbers, rng.normal(size=(len(numbers), 4 + number % 3)).astype(np.float32),
        )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with embeddings of models H and L; each is a cell's winner or loser."""
    folder = tmp_path_factory.mktemp("run")
    table = [
        {
            "key": key, "channel": channel, "dim": vectors.shape[1], "numbers": numbers,
            "counts": np.ones(len(numbers), dtype=int),
            "values": (vectors if channel == "mixed" else 0 * vectors).ravel(),
        }
        for key, (numbers, vectors) in models().items()
        for channel in ("h", "mixed")
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(table, schema=EMBEDDINGS), folder / "embeddings.parquet")
    return folder


def ledger() -> pd.DataFrame:
    keys = list(models())
    return pd.DataFrame(
        {
            "key": keys,
            "task": "salts",
            "backbone": "cgcnn",
            "dim": 4,
            "fold": [number // 2 for number in range(len(keys))],
            "seed": 0,
            "mixing": ["H" if number % 2 else "L" for number in range(len(keys))],
            "gamma": [-np.inf if number % 2 else np.inf for number in range(len(keys))],
            "setting": "",
            "status": "done",
            "val_mae": np.random.default_rng(3).random(len(keys)),
        }
    )


def plain(keys: Sequence[str]) -> cosine.DistanceSums:
    """All in this process, one model after the other in its chunk."""
    known = models()
    return cosine.aggregate(lambda chunk: [known[key] for key in chunk], keys)


def bits(sums: cosine.DistanceSums) -> tuple[bytes, bytes, bytes]:
    return sums.total.tobytes(), sums.squares.tobytes(), sums.count.tobytes()


@pytest.mark.parametrize("actors", [1, 2, 3])
def test_the_sum_has_the_same_bits_on_any_number_of_actors(run: Path, actors: int) -> None:
    sums, keys = sum_distances(run / "embeddings.parquet", ledger(), "val_mae", actor_map(actors))
    assert list(sums) == ["S", "H", "L"]
    assert all(len(keys[name]) == MODELS for name in "SHL")
    assert set(keys["H"]) | set(keys["L"]) == set(models())
    for name in "SHL":
        assert bits(sums[name]) == bits(plain(keys[name]))
        assert sums[name].count.max() > 1


def test_the_sum_is_not_that_of_any_order(run: Path) -> None:
    """The test above needs sums whose bits depend on the order of models."""
    sums, keys = sum_distances(run / "embeddings.parquet", ledger(), "val_mae", actor_map(1))
    backwards = cosine.merge(
        cosine.accumulate([models()[key]]) for key in sorted(keys["H"], reverse=True)
    )
    assert bits(backwards) != bits(sums["H"])
    np.testing.assert_allclose(backwards.total, sums["H"].total, rtol=1e-12)


def test_a_strategy_without_models_has_no_table(run: Path) -> None:
    only = ledger()[lambda frame: frame["mixing"] == "H"]
    sums, keys = sum_distances(run / "embeddings.parquet", only, "val_mae", actor_map(2))
    assert list(sums) == list(keys) == ["S", "H"]


def test_only_the_mixed_vectors_count(run: Path) -> None:
    keys = list(models())[:3]
    found = mixed_vectors(run / "embeddings.parquet", keys)
    assert found.keys() == set(keys)
    for key in keys:
        numbers, vectors = models()[key]
        np.testing.assert_array_equal(found[key][0], numbers)
        np.testing.assert_array_equal(found[key][1], vectors)


def test_actors_answer_in_the_order_of_the_items_and_are_used_again() -> None:
    on_actors = actor_map(2)
    assert list(on_actors(abs, [-3, 2, -1, 0])) == [3, 2, 1, 0]
    assert list(on_actors(str, [5])) == ["5"]
    assert list(on_actors(str, [])) == []
    first = set(on_actors(_pid, range(8)))
    assert len(first) <= 2
    assert set(on_actors(_pid, range(8))) == first


def _pid(item: int) -> int:
    import os

    return os.getpid()


def _dies(item: int) -> int:
    import os

    os._exit(1)


def _dies_once(mark: Path, item: int) -> int:
    import os

    if not mark.exists():
        mark.touch()
        os._exit(1)
    return item


def _errs(item: int) -> int:
    raise ZeroDivisionError(item)


def test_an_actor_that_dies_is_replaced(tmp_path: Path) -> None:
    """As one of two that sum, at its first item."""
    found = actor_map(2)(partial(_dies_once, tmp_path / "mark"), range(4))
    assert list(found) == [0, 1, 2, 3] and (tmp_path / "mark").exists()


def test_an_actor_that_dies_at_each_try_is_told_in_one_line() -> None:
    told_in_words = r"the cluster failed while running this work.*same command"
    with pytest.raises(UsageError, match=told_in_words) as told, cluster.connected(None, 1):
        list(actor_map(1)(_dies, [0]))
    assert "\n" not in str(told.value)


def test_an_error_of_the_work_stays_one() -> None:
    with pytest.raises(ZeroDivisionError), cluster.connected(None, 1):
        list(actor_map(1)(_errs, [0]))
