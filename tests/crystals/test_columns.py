"""Everything derives from declared columns: tables, fingerprints, slices, batches, streams."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from trainables.representations import shards
from trainables.representations.batches import DeviceColumns
from trainables.representations.columns import TARGET, Column, Columns, Scope, column
from trainables.representations.dataset import Dataset
from trainables.representations.graph_batch import Taken
from trainables.representations.source import StreamedColumns

SPECTRUM = Column("target", Scope.CRYSTAL, "float64", (3,))
SITES = Column("target", Scope.NODE, "float64")
TENSORS = Column("target", Scope.NODE, "float32", (2, 2))
KNOWN = {"number": TARGET, "spectrum": SPECTRUM, "sites": SITES, "tensors": TENSORS}


@dataclass(frozen=True)
class Everything(Columns):
    """A column of each scope, with and without a shape, of every kind of number."""

    dst: Annotated[np.ndarray, column(Scope.EDGE, "int32", refers=Scope.NODE)]
    lattice: Annotated[np.ndarray, column(Scope.CRYSTAL, "float64", (3, 3))]
    group: Annotated[np.ndarray, column(Scope.CRYSTAL, "uint8")]
    place: Annotated[np.ndarray, column(Scope.NODE, "float32", (3,))]
    metal: Annotated[np.ndarray, column(Scope.NODE, "bool")]
    shift: Annotated[np.ndarray, column(Scope.EDGE, "int8", (3,))]

    @classmethod
    def batch(cls, taken: Taken) -> Taken:
        return taken


NODES, EDGES = np.array([2, 1, 4, 3]), np.array([3, 0, 5, 2])


def everything() -> Everything:
    """Four crystals, one without edges."""
    rng = np.random.default_rng(0)
    node_ptr, edge_ptr = (np.concatenate([[0], np.cumsum(sizes)]) for sizes in (NODES, EDGES))
    n, e = int(node_ptr[-1]), int(edge_ptr[-1])
    return Everything(
        node_ptr=node_ptr, edge_ptr=edge_ptr, z=rng.integers(1, 90, n).astype(np.uint8),
        multiplicity=rng.integers(1, 9, n).astype(np.int32),
        dst=rng.integers(0, np.repeat(NODES, EDGES)).astype(np.int32),
        lattice=rng.normal(size=(4, 3, 3)), group=np.arange(4, dtype=np.uint8),
        place=rng.random((n, 3)).astype(np.float32), metal=rng.random(n) < 0.5,
        shift=rng.integers(-3, 4, (e, 3)).astype(np.int8),
    )  # fmt: skip


def target_of(known: Column) -> np.ndarray:
    rows = int(NODES.sum()) if known.scope is Scope.NODE else len(NODES)
    return np.random.default_rng(1).normal(size=(rows, *known.shape)).astype(known.dtype)


def table(known: Column = TARGET, graphs: Everything | None = None) -> shards.pa.Table:
    graphs = graphs or everything()
    return shards.to_table(list("abcd"), range(4), target_of(known), graphs, known)


def assert_same(a: Columns, b: Columns) -> None:
    assert type(a) is type(b)
    for scope in a.scopes():
        assert np.array_equal(a.ptr(scope), b.ptr(scope)), scope
    for one in a.declared():
        left, right = getattr(a, one.name), getattr(b, one.name)
        assert left.dtype == right.dtype == np.dtype(one.dtype), one.name
        assert np.array_equal(left, right), one.name


def loaded(known: Column) -> Dataset[Everything]:
    """Crystals and targets as they come from a shard."""
    stored = pq.read_table(io.BytesIO(shards.encode(table(known))))
    assert stored.schema.equals(shards.schema(Everything, known))
    return shards.from_table(stored, Everything, 9, known)


@pytest.mark.parametrize("known", KNOWN.values(), ids=list(KNOWN))
def test_a_shard_holds_every_column_and_any_target(known: Column) -> None:
    data = loaded(known)
    assert_same(data.graphs, everything())
    assert data.target.dtype == known.dtype and np.array_equal(data.target, target_of(known))
    of_nodes = known.scope is Scope.NODE
    assert (data.target_ptr is not None) == of_nodes
    assert len(data) == 4


def test_the_types_of_a_table_are_those_declared() -> None:
    types = {field.name: str(field.type) for field in shards.schema(Everything, SPECTRUM)}
    assert types == {
        "id": "string", "row": "int64", "z": "list<item: uint8>", "dst": "list<item: int32>",
        "multiplicity": "list<item: int32>", "target": "fixed_size_list<item: double>[3]",
        "group": "uint8", "metal": "list<item: bool>",
        "lattice": "fixed_size_list<item: double>[9]",
        "place": "list<item: fixed_size_list<item: float>[3]>",
        "shift": "list<item: fixed_size_list<item: int8>[3]>",
    }  # fmt: skip


def test_crystals_are_taken_and_joined() -> None:
    whole = everything()
    parts = [whole.take(np.array(rows, dtype=np.int64)) for rows in ([], [0, 1], [2], [3])]
    assert_same(Everything.join(parts), whole)
    assert_same(Everything.join([]), Everything.empty())
    turned = whole.take(np.array([3, 0]))
    assert turned.place.tolist() == [*whole.place[7:].tolist(), *whole.place[:2].tolist()]
    assert np.array_equal(turned.lattice, whole.lattice[[3, 0]])
    assert turned.edge_ptr.tolist() == [0, 2, 5] and turned.node_ptr.tolist() == [0, 3, 5]


@pytest.mark.parametrize("known", KNOWN.values(), ids=list(KNOWN))
def test_a_batch_shifts_what_refers_to_nodes(known: Column) -> None:
    data = DeviceColumns.load(everything(), target_of(known), known=known)
    order = np.array([2, 0, 1])
    batch = data.take(torch.from_numpy(order))
    alone, target = everything(), target_of(known)
    node_rows = np.r_[3:7, 0:2, 2:3]
    assert batch.crystals == 3 and batch.nodes == 7
    assert batch["dst"].tolist() == [*alone.dst[3:8], *(alone.dst[:3] + 4)]
    assert batch.owner[Scope.EDGE].tolist() == [0] * 5 + [1] * 3
    assert torch.equal(batch["lattice"].double(), torch.from_numpy(alone.lattice[order]).float())
    assert np.array_equal(batch["place"].numpy(), alone.place[node_rows])
    assert batch["metal"].dtype == torch.bool and batch["shift"].dtype == torch.int32
    wanted = target[node_rows if known.scope is Scope.NODE else order]
    assert np.array_equal(batch["target"].numpy(), wanted.astype(np.float32))


class InMemory:
    """A `GraphStore` that hands out copies."""

    edges = -1

    def in_order(self, parts: Sequence[np.ndarray]) -> Iterator[Columns]:
        return (everything().take(part) for part in parts)


@pytest.mark.parametrize("known", KNOWN.values(), ids=list(KNOWN))
def test_what_is_streamed_is_what_is_resident(known: Column) -> None:
    data = loaded(known)
    data = replace(data, target=data.target.copy())  # Arrow's memory is not writable
    resident = DeviceColumns.load(data.graphs, data.target, known=known)
    streamed = StreamedColumns.open(
        InMemory(), data.target, known=known, target_ptr=data.target_ptr
    )
    assert len(streamed) == len(resident) == 4
    order = torch.tensor([3, 1, 0, 2])
    for one, other in zip(streamed.batches(order, 3), resident.batches(order, 3), strict=True):
        assert one.columns.keys() == other.columns.keys()
        for name, value in one.columns.items():
            assert torch.equal(value, other[name]) and value.dtype == other[name].dtype, name


def fingerprint(known: Column, *tables: shards.pa.Table) -> str:
    found = shards.Fingerprint(Everything, known)
    for one in tables:
        found.update(shards.row_digests(one))
    return found.hexdigest()


@pytest.mark.parametrize("known", KNOWN.values(), ids=list(KNOWN))
def test_the_fingerprint_knows_every_number_and_no_cut(known: Column) -> None:
    whole = table(known)
    assert fingerprint(known, whole.slice(0, 1), whole.slice(1)) == fingerprint(known, whole)
    seen = {fingerprint(known, whole)}
    for one in Everything.declared():
        values = getattr(everything(), one.name).copy()
        values.reshape(-1)[-1] = not values.reshape(-1)[-1]
        seen.add(fingerprint(known, table(known, replace(everything(), **{one.name: values}))))
    assert len(seen) == 1 + len(Everything.declared())


def test_a_field_that_is_not_declared_is_named() -> None:
    @dataclass(frozen=True)
    class Careless(Columns):
        charge: np.ndarray

    with pytest.raises(TypeError, match=r"^Careless\.charge: no column; annotate it by column"):
        Careless.declared()
