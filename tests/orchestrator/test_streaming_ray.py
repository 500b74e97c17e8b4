"""Data sets that are streamed from their shards: what memory gives, in the same order, in less."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import ray
import torch
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from orchestrator.data import streaming
from orchestrator.data.streaming import ShardStream, open_streamed, recut
from tests.crystals_for_tests import table_of, write_shards
from tests.orchestrator.small_grids import FinishedGrid, grid
from trainables.representations import shards
from trainables.representations.batches import DeviceColumns
from trainables.representations.columns import Scope
from trainables.representations.dataset import Dataset
from trainables.representations.graph import Graphs
from trainables.representations.graph_batch import GraphBatch
from trainables.representations.source import StreamedColumns
from trainables.testing.samples import made_up_dataset

pytestmark = pytest.mark.usefixtures("ray_cluster")
CRYSTALS = 90
MIB = 2**20


def crystals() -> Dataset:
    """Crystals of many sizes; the first, one within and the last have no edges."""
    data = made_up_dataset("megnet", CRYSTALS)
    graphs, lonely = data.graphs, [0, 41, CRYSTALS - 1]
    kept = ~np.isin(graphs.edge_crystal, lonely)
    sizes = np.diff(graphs.edge_ptr)
    sizes[lonely] = 0
    of_edges = [one.name for one in Graphs.declared() if one.scope is Scope.EDGE]
    edges = {name: getattr(graphs, name)[kept] for name in of_edges}
    ptr = np.concatenate([[0], np.cumsum(sizes)])
    return dataclasses.replace(data, graphs=dataclasses.replace(graphs, edge_ptr=ptr, **edges))


def stream_of(folder: Path, windows: int, cuts: int = 7) -> ShardStream:
    folder.mkdir(exist_ok=True)
    write_shards(folder, crystals(), cuts)
    files = tuple(shards.listing(folder, Graphs))
    return ShardStream(files, window=-(-sum(file.nbytes for file in files) // windows))


def orders() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    ascending = np.arange(CRYSTALS)
    return {
        "ascending": ascending,
        "descending": ascending[::-1].copy(),
        "shuffled": rng.permutation(CRYSTALS),
        "a part, shuffled": rng.permutation(CRYSTALS)[:37],
        "a part, ascending": np.sort(rng.permutation(CRYSTALS)[:37]),
        "one": np.array([41]),
    }


def assert_same(one: GraphBatch, other: GraphBatch) -> None:
    for field in dataclasses.fields(GraphBatch):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if isinstance(left, torch.Tensor):
            assert left.dtype == right.dtype, field.name
            assert torch.equal(left, right), field.name
        else:
            assert left == right, field.name


# ---------------------------------------------------------------------------------- the same, …


@pytest.mark.parametrize("cuts", [1, 7])
@pytest.mark.parametrize("windows", [1, 4])
def test_streamed_batches_are_the_resident_ones(tmp_path: Path, cuts: int, windows: int) -> None:
    stream, target = stream_of(tmp_path, windows, cuts), crystals().target
    resident = DeviceColumns.load(crystals().graphs, target)
    streamed = StreamedColumns.open(stream, target)
    assert len(stream.windows(orders()["shuffled"])) == windows
    for name, order in orders().items():
        wanted = list(resident.batches(torch.from_numpy(order), 8))
        found = list(streamed.batches(torch.from_numpy(order), 8))
        assert len(wanted) == len(found), name
        for one, other in zip(wanted, found, strict=True):
            assert_same(one, other)


def test_blocks_need_not_fit_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One task hands its window on in many pieces, smaller and larger than a batch."""
    monkeypatch.setattr(streaming, "BLOCK_BYTES", 2000)
    stream = stream_of(tmp_path, 1)
    tables = list(streaming._read(stream.shards, orders()["shuffled"]))
    assert len(tables) > 5
    for size in (2, 40):
        parts = np.array_split(orders()["shuffled"], CRYSTALS // size)
        for part, graphs in zip(parts, recut(iter(tables), parts, Graphs), strict=True):
            wanted = shards.graphs_of(table_of(crystals()).take(part), Graphs)
            for field in dataclasses.fields(Graphs):
                assert np.array_equal(getattr(graphs, field.name), getattr(wanted, field.name))


@pytest.mark.parametrize("wrong", ["swapped", "short", "none"])
def test_graphs_of_other_crystals_are_refused(tmp_path: Path, wrong: str) -> None:
    stream, order = stream_of(tmp_path, 4), orders()["shuffled"]
    tables = [table for part in stream.windows(order) for table in _pieces(stream, part)]
    tables = {"swapped": tables[::-1], "short": tables[:-1], "none": []}[wrong]
    with pytest.raises(RuntimeError, match="another order, or not all"):
        list(recut(tables, np.array_split(order, 9), Graphs))


def _pieces(stream: ShardStream, window: np.ndarray) -> Iterator[pa.Table]:
    return streaming._read(stream.shards, window)


def test_a_streamed_grid_ends_like_a_resident_one(finished: FinishedGrid, tmp_path: Path) -> None:
    """Two trainings hold both CPUs, and each waits for tasks of Ray Data."""
    streamed = grid(*finished.flags(tmp_path, dims="4"), "--memory-per-worker", "1e-6")
    assert streamed.code == 0, streamed.err
    assert "from its shards" not in finished.said.out
    said = [line for line in streamed.out.splitlines() if "streamed from its shards" in line]
    assert [line.split(":")[0] for line in said] == ["tiny (cgcnn)", "tiny (megnet)"]
    assert "more than the 1e-06 GiB of --memory-per-worker" in said[0]
    records = [run / "records" for run in (finished.run, tmp_path)]
    files = sorted(path.name for path in records[1].glob("*.json"))
    assert len(files) == 6
    for name in files:
        one, other = (json.loads((folder / name).read_text()) for folder in records)
        for row in (one, other):
            for clocked in ("seconds", "arrays_sha256", "crc32"):  # the sums are over the time too
                del row[clocked]
        assert one == other
        arrays = [_arrays(folder / name) for folder in records]
        assert arrays[0] == arrays[1]


def _arrays(path: Path) -> dict[str, bytes]:
    from safetensors.numpy import load_file

    found = load_file(path.with_suffix(".safetensors"))
    assert "weights/out.weight" in found
    return {name: array.tobytes() for name, array in found.items()}


# ------------------------------------------------------------------------------- … in less memory


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 000 crystals in 10 shards, whose graphs take some 70 MiB in memory; to be read."""
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    crystals, nodes, edges = 20_000, 4, 90

    def numbers(low: int, high: int, each: int, kind: type = np.int32) -> np.ndarray:
        return rng.integers(low, high, crystals * each).astype(kind)

    graphs = Graphs(
        np.arange(crystals + 1) * nodes, np.arange(crystals + 1) * edges,
        z=numbers(1, 90, nodes, np.uint8), multiplicity=numbers(1, 9, nodes),
        dst=np.sort(numbers(0, nodes, edges).reshape(crystals, edges)).ravel(),
        src=numbers(0, nodes, edges), distance=numbers(1500, 8000, edges),
        count=numbers(1, 9, edges),
    )  # fmt: skip
    index = np.arange(crystals)
    data = Dataset(graphs, rng.normal(size=crystals), index.astype(str), index, crystals)
    write_shards(folder, data, 10)
    return folder


class Trainer:
    """A process that goes through a data set in batches, as a training does."""

    def growth(self, folder: Path, budget: float) -> tuple[float, int]:
        """MiB of its own that it takes on the way, and how many batches it saw."""
        torch.set_num_threads(1)
        next(iter(DeviceColumns.load(crystals().graphs, crystals().target).batches(*_ORDER)))
        before = _own_memory()
        if budget:
            data = open_streamed(folder, Graphs, budget)
            source: Any = StreamedColumns.open(data.graphs, data.target)
        else:
            whole = shards.load(folder, Graphs)
            source = DeviceColumns.load(whole.graphs, whole.target)
        order = torch.from_numpy(np.random.default_rng(1).permutation(len(source)))
        seen = [_own_memory() for _ in source.batches(order, 64)]
        return (max(seen) - before) / MIB, len(seen)


_ORDER = (torch.arange(8), 4)


def _own_memory() -> int:
    """Bytes of this process that it shares with none; pages of the object store are not its own."""
    _, resident, shared, *_ = map(int, Path("/proc/self/statm").read_text().split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


def test_the_whole_set_never_is_in_a_worker(large: Path) -> None:
    grown = {}
    for budget in (16 * MIB, 0):
        trainer = ray.remote(num_cpus=1)(Trainer).remote()
        grown[budget], batches = ray.get(trainer.growth.remote(large, budget), timeout=300)
        assert batches == -(-20_000 // 64)
        ray.kill(trainer)
    assert grown[0] > 60, "resident, it is there whole"
    assert grown[16 * MIB] < 40


def test_a_task_holds_a_window_and_little_more(large: Path) -> None:
    stream = open_streamed(large, Graphs, 32 * MIB).graphs
    windows = stream.windows(np.random.default_rng(1).permutation(20_000))
    whole = sum(file.nbytes for file in stream.shards)
    assert len(windows) == -(-whole // (8 * MIB))
    before, most = pa.total_allocated_bytes(), 0
    for _ in streaming._read(stream.shards, windows[1]):
        most = max(most, pa.total_allocated_bytes() - before)
    assert stream.window < most < 2.5 * stream.window + whole / 10 < whole


def test_windows_follow_the_sizes_of_shards(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    small, big = (shards.Shard(path, 10, 10, edges, Graphs) for edges in (10, 1000))
    stream = ShardStream((small, big), window=big.nbytes // 2 + 1)
    assert [len(window) for window in stream.windows(np.arange(20))] == [15, 5]
    assert [len(window) for window in stream.windows(np.arange(20)[::-1])] == [6, 5, 9]


# -------------------------------------------------------------------------------- … and no waiting


def test_a_training_that_holds_every_cpu_gets_its_batches(tmp_path: Path) -> None:
    """In a placement group that captures its child tasks, as Tune makes them."""
    stream = stream_of(tmp_path, 3)
    group = placement_group([{"CPU": ray.cluster_resources()["CPU"]}])
    assert group.wait(60), f"the CPUs are taken: {ray.available_resources()}"
    strategy = PlacementGroupSchedulingStrategy(group, placement_group_capture_child_tasks=True)

    @ray.remote(num_cpus=ray.cluster_resources()["CPU"], scheduling_strategy=strategy)
    def epoch(stream: ShardStream, order: np.ndarray) -> int:
        return sum(len(graphs) for graphs in stream.in_order(np.array_split(order, 6)))

    try:
        # Ray gives a process that does not come up a minute before it begins another.
        assert ray.get(epoch.remote(stream, orders()["shuffled"]), timeout=300) == CRYSTALS
    finally:
        remove_placement_group(group)


def test_a_training_that_breaks_off_leaves_nothing_running(large: Path) -> None:
    stream = ShardStream(tuple(shards.listing(large, Graphs)), window=8 * MIB)
    batches = stream.in_order(np.array_split(np.arange(20_000), 100))
    before = set(threading.enumerate())
    next(batches)
    running = [
        thread
        for thread in set(threading.enumerate()) - before
        if "StreamingExecutor" in thread.name
    ]
    assert len(running) == 1 and running[0].is_alive()
    del batches
    running[0].join(20)
    assert not running[0].is_alive()


def test_passes_do_not_add_up_in_what_ray_keeps(tmp_path: Path) -> None:
    """A long training makes thousands of them."""
    from ray.data._internal.stats import get_or_create_stats_actor

    stream, kept = stream_of(tmp_path, 2), []
    for _ in range(3):
        assert sum(map(len, stream.in_order([np.arange(CRYSTALS)]))) == CRYSTALS
        kept.append(len(ray.get(get_or_create_stats_actor().get_datasets.remote())))
    assert kept[0] == kept[1] == kept[2]


def test_a_shard_that_goes_missing_is_an_error(tmp_path: Path) -> None:
    stream = stream_of(tmp_path, 1)
    stream.shards[3].path.unlink()
    with pytest.raises(FileNotFoundError, match=r"0003\.parquet"):
        list(stream.in_order([np.arange(CRYSTALS)]))
