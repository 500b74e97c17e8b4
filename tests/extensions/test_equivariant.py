"""A toy equivariant network on the full graph: rotations, reflections, arrays and streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.extensions.densities import DenseBatch, DenseGraphs
from tests.extensions.equivariant import SPEC, Network
from trainables.crystals.crystal import Crystal
from trainables.models.backbones import BACKBONES
from trainables.models.recipe import Recipe
from trainables.representations import shards
from trainables.representations.batches import DeviceColumns
from trainables.representations.columns import Columns
from trainables.representations.dataset import Dataset
from trainables.representations.neighbours import find_neighbours
from trainables.testing.crystals import filled, in_cell, made_up, named_crystals
from trainables.training.fit import ArraySpec, fit

DTYPE = torch.float64
SYMMETRIC = {
    # all atoms on special positions: rock salt m-3m; perovskite m-3m and 4/mm.m
    "rock salt": named_crystals()["NaCl"],
    "perovskite": filled("perovskite", (38, 22, 8), 3.905),
    # 4mm and 2mm sites, whose vectors need not vanish
    "wurtzite": filled("wurtzite", (30, 8), 3.25),
    "none": named_crystals()["triclinic"],
}


@pytest.fixture(autouse=True)
def _entered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "equivariant", SPEC)


def built(*crystals: Crystal) -> DenseGraphs:
    found = SPEC.representation.build(find_neighbours(crystals, [SPEC.representation]))
    assert isinstance(found, DenseGraphs)
    return found


def features(*crystals: Crystal) -> list[tuple[Tensor, Tensor]]:
    """[N, A] and [N, A, 3] of an untrained network, whose weights are the same each time."""
    torch.manual_seed(0)
    network = Network(6).to(DTYPE)
    elements = torch.randn(119, 6, dtype=DTYPE)
    data = DeviceColumns.load(built(*crystals), np.zeros(len(crystals)), dtype=DTYPE)
    batch = data.take(torch.arange(len(crystals)))
    assert isinstance(batch, DenseBatch)
    found = network.features(elements, batch)
    # from e3nn's order of a vector: y, z, x
    return [(x_n[:, :6], x_n[:, 6:].reshape(len(x_n), 6, 3)[:, :, [2, 0, 1]]) for x_n in found]


def turn(seed: int, reflected: bool) -> np.ndarray:
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return matrix * np.sign(np.linalg.det(matrix)) * (-1 if reflected else 1)


@pytest.mark.parametrize("reflected", [False, True], ids=["rotated", "reflected"])
@pytest.mark.parametrize("name", SYMMETRIC)
def test_vectors_turn_with_the_crystal_and_scalars_stay(name: str, reflected: bool) -> None:
    one = SYMMETRIC[name]
    wanted = features(one)
    for seed in range(5):
        matrix = turn(seed, reflected)
        found = features(Crystal(one.numbers, one.frac, one.lattice @ matrix))
        for (x_na, v_na3), (turned_na, turned_na3) in zip(wanted, found, strict=True):
            torch.testing.assert_close(turned_na, x_na, rtol=1e-9, atol=1e-9)
            expected = v_na3 @ torch.from_numpy(matrix)
            torch.testing.assert_close(turned_na3, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["rock salt", "perovskite"])
def test_vectors_vanish_where_the_site_allows_none(name: str) -> None:
    for _, v_na3 in features(SYMMETRIC[name]):
        assert v_na3.abs().max() < 1e-12
    assert features(SYMMETRIC["none"])[-1][1].abs().max() > 0.1


def test_a_supercell_repeats_the_features() -> None:
    one = SYMMETRIC["wurtzite"]
    for small, large in zip(features(one), features(in_cell(one, np.diag([2, 1, 3]))), strict=True):
        for one_value, others in zip(small, large, strict=True):
            repeated = one_value.repeat(6, *[1] * (one_value.dim() - 1))
            torch.testing.assert_close(others, repeated, rtol=1e-9, atol=1e-9)


# ------------------------------------------------------------------------------- training


class InShard:
    """A `GraphStore` on the bytes of a shard."""

    edges = -1

    def __init__(self, graphs: DenseGraphs) -> None:
        rows = np.arange(len(graphs))
        table = shards.to_table(list(map(str, rows)), rows, rows * 1.0, graphs)
        self._table = shards.pq.read_table(shards.io.BytesIO(shards.encode(table)))

    def in_order(self, parts: Sequence[np.ndarray]) -> Iterator[Columns]:
        for part in parts:
            yield shards.graphs_of(self._table.take(part), DenseGraphs)


def dataset() -> Dataset[DenseGraphs]:
    crystals = made_up(40)
    target = np.array([c.numbers.mean() - abs(np.linalg.det(c.lattice)) / 40 for c in crystals])
    ids, rows = np.array(list(map(str, range(40)))), np.arange(40)
    return Dataset(built(*crystals), target, ids, rows, 40)


RECIPE = Recipe(name="tuned", optimiser="adamw", lr=1e-2, averaging=0.9, epochs=4, batch_size=8)
ARRAY = ArraySpec(
    backbone="equivariant", dim=4, mixings={"H": "h", "0": "m", "L": "l"}, fold=0, seed=0,
    recipe=RECIPE,
)  # fmt: skip


def test_an_array_learns_and_streams_with_the_same_bits() -> None:
    data = dataset()
    resident = fit(ARRAY, data)
    streamed = fit(ARRAY, replace(data, graphs=InShard(data.graphs)))
    for one, other in zip(resident, streamed, strict=True):
        assert one.history.train_loss[-1] < one.history.train_loss[0]
        assert one.metrics == other.metrics and one.arrays.keys() == other.arrays.keys()
        for name, value in one.arrays.items():
            assert value.tobytes() == other.arrays[name].tobytes(), name


def test_each_member_is_what_it_is_alone() -> None:
    data = dataset()
    together = {one.history.member.label: one for one in fit(ARRAY, data)}
    for label, key in ARRAY.mixings.items():
        (alone,) = fit(replace(ARRAY, mixings={label: key}), data)
        for name, value in alone.arrays.items():
            np.testing.assert_allclose(together[label].arrays[name], value, atol=1e-5, err_msg=name)
