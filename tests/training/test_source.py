"""Batches from graphs that are not in memory: the same, bit for bit. No Ray."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from tests.crystals_for_tests import table_of
from trainables.models.backbones import BACKBONES
from trainables.models.recipe import Recipe
from trainables.representations import shards
from trainables.representations.batches import DeviceColumns
from trainables.representations.columns import Columns
from trainables.representations.dataset import Dataset
from trainables.representations.graph_batch import Batch
from trainables.representations.sizes import resident_bytes
from trainables.representations.source import StreamedColumns, open_source
from trainables.testing.samples import made_up_dataset
from trainables.training.fit import fit
from trainables.training.specification import ArraySpec

CRYSTALS = 48


class InTable:
    """A `GraphStore` on a table of Arrow, which hands out copies."""

    def __init__(self, table: pa.Table, kind: type[Columns]) -> None:
        self._table = table
        self.kind = kind
        self.edges = -1

    def in_order(self, parts: Sequence[np.ndarray]) -> Iterator[Columns]:
        for part in parts:
            yield shards.graphs_of(self._table.take(part), self.kind)


def stored(data: Dataset) -> Dataset:
    return dataclasses.replace(data, graphs=InTable(table_of(data), type(data.graphs)))


def assert_same_batches(a: Sequence[Batch], b: Sequence[Batch]) -> None:
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        for field in dataclasses.fields(one):
            left, right = getattr(one, field.name), getattr(other, field.name)
            if isinstance(left, torch.Tensor):
                assert left.dtype == right.dtype, field.name
                assert torch.equal(left, right), field.name
            else:
                assert left == right, field.name


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1, 7, CRYSTALS, 500])
def test_streamed_batches_are_the_resident_ones(
    backbone: str, dtype: torch.dtype, size: int
) -> None:
    data = made_up_dataset(backbone, CRYSTALS)
    target = (data.target - data.target.mean()) / 3
    resident = DeviceColumns.load(data.graphs, target, dtype=dtype)
    streamed = StreamedColumns.open(stored(data).graphs, target, dtype=dtype)
    assert len(streamed) == CRYSTALS
    assert torch.equal(streamed.target, resident.target)
    order = torch.from_numpy(np.random.default_rng(3).permutation(CRYSTALS)[: CRYSTALS - 5])
    assert_same_batches(list(streamed.batches(order, size)), list(resident.batches(order, size)))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_streamed_array_ends_like_a_resident_one(backbone: str) -> None:
    """Curves, weights, vectors, predictions and metrics: all bits."""
    data = made_up_dataset(backbone, CRYSTALS)
    recipe = Recipe(name="tuned", optimiser="adamw", lr=1e-2, averaging=0.9, epochs=3, batch_size=8)
    spec = ArraySpec(
        backbone=backbone, dim=4, mixings={"H": "h", "0": "m", "L": "l"}, fold=1, seed=0,
        recipe=recipe,
    )  # fmt: skip
    for one, other in zip(fit(spec, data), fit(spec, stored(data)), strict=True):
        assert one.history.member.key == other.history.member.key
        assert one.metrics == other.metrics
        assert one.arrays.keys() == other.arrays.keys()
        for name, value in one.arrays.items():
            assert value.tobytes() == other.arrays[name].tobytes(), name


@pytest.mark.parametrize("backbone", BACKBONES)
def test_what_is_resident_is_what_was_foretold(tmp_path: Path, backbone: str) -> None:
    data = made_up_dataset(backbone, CRYSTALS)
    path = tmp_path / "shard.parquet"
    path.write_bytes(shards.encode(table_of(data)))
    graphs = data.graphs
    kind = type(graphs)
    shard = shards.Shard(path, len(data), graphs.nodes, graphs.edges, kind)
    foretold = resident_bytes(kind, shard.rows)
    arrays = [getattr(graphs, field.name) for field in dataclasses.fields(kind)]
    loaded = open_source(graphs, data.target, "cpu")
    assert isinstance(loaded, DeviceColumns)
    held = [*arrays, loaded.sizes, *loaded.ptr.values(), *loaded.columns.values(), loaded.target]
    there = sum(array.nbytes for array in held)
    assert there <= foretold + 100 <= 1.2 * there
