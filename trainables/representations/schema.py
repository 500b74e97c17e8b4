"""Featurised crystals as a table: one row per crystal, with its graph in flat lists.

| column | type | meaning |
|---|---|---|
| id, row | string, int64 | name, and position in the source, which determines the folds |
| target | float64 | in the unit of the schema's metadata |
| z | list<uint8> | atomic number of each node |
| multiplicity | list<int32> | atoms that a node stands for |
| dst, src | list<int32> | edges dst <- src, indices into the crystal's nodes, sorted by dst |
| distance | list<int32> | 1e-3 Å |
| count | list<int32> | neighbours that an edge stands for, per atom of dst |
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.representations.dataset import Dataset, G
from trainables.representations.graph import Graphs

NODE_COLUMNS = {"z": pa.uint8(), "multiplicity": pa.int32()}
EDGE_COLUMNS = {"dst": pa.int32(), "src": pa.int32(), "distance": pa.int32(), "count": pa.int32()}
GRAPH_COLUMNS = (*NODE_COLUMNS, *EDGE_COLUMNS)
SCHEMA = pa.schema(
    [("id", pa.string()), ("row", pa.int64()), ("target", pa.float64())]
    + [(name, pa.list_(kind)) for name, kind in (NODE_COLUMNS | EDGE_COLUMNS).items()]
)


def to_table(
    ids: Sequence[str], rows: Sequence[int] | np.ndarray, target: np.ndarray, graphs: Graphs
) -> pa.Table:
    """Converts B crystals to a table of `SCHEMA`."""

    def lists(name: str, ptr: np.ndarray, kind: pa.DataType) -> pa.Array:
        offsets = pa.array(ptr.astype(np.int32))
        return pa.ListArray.from_arrays(offsets, pa.array(getattr(graphs, name), kind))

    columns = [pa.array(ids, pa.string()), pa.array(rows, pa.int64()), pa.array(target)]
    columns += [lists(name, graphs.node_ptr, kind) for name, kind in NODE_COLUMNS.items()]
    columns += [lists(name, graphs.edge_ptr, kind) for name, kind in EDGE_COLUMNS.items()]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def from_table(table: pa.Table, total: int) -> Dataset[Graphs]:
    """The inverse of `to_table`, in the table's row order; `total` as in `Dataset`."""

    return dataset_of(table, graphs_of(table), total)


def dataset_of(table: pa.Table, graphs: G, total: int) -> Dataset[G]:
    """The data set of a table's crystals, whose graphs are given; `total` as in `Dataset`."""
    ids = np.array(table["id"].to_pylist(), dtype=np.str_)
    return Dataset(graphs, table["target"].to_numpy(), ids, table["row"].to_numpy(), total)


def graphs_of(table: pa.Table) -> Graphs:
    """The graphs of a table that has at least `GRAPH_COLUMNS`, in its row order."""

    def flat(name: str) -> np.ndarray:
        return table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)

    def pointer(name: str) -> np.ndarray:
        sizes = table[name].combine_chunks().value_lengths().to_numpy(zero_copy_only=False)
        return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])

    arrays = {name: flat(name) for name in GRAPH_COLUMNS}
    return Graphs(node_ptr=pointer("z"), edge_ptr=pointer("dst"), **arrays)


def encode(table: pa.Table) -> bytes:
    """The bytes of a shard."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


class Fingerprint:
    """SHA-256 of the crystals' content, however they are divided into shards or compressed."""

    def __init__(self) -> None:
        # Lengths of lists have digests of their own, or the division into shards would matter.
        sized = ("id", *NODE_COLUMNS, *EDGE_COLUMNS)
        names = [*SCHEMA.names, *(f"{name}/length" for name in sized)]
        self._columns = {name: hashlib.sha256() for name in names}

    def update(self, table: pa.Table) -> None:
        """Adds the next rows."""
        for name in SCHEMA.names:
            column = table[name].combine_chunks()
            if name == "id":
                values = [value.encode() for value in column.to_pylist()]
                self._add(f"{name}/length", np.array([len(value) for value in values]))
                self._columns[name].update(b"".join(values))
                continue
            if pa.types.is_list(column.type):
                self._add(f"{name}/length", column.value_lengths())
                column = column.flatten()
            self._add(name, column)

    def _add(self, name: str, values: pa.Array | np.ndarray) -> None:
        # the same byte order and width of lengths on every machine
        array = np.asarray(values)
        width = "<i8" if name.endswith("/length") else array.dtype.newbyteorder("<")
        self._columns[name].update(array.astype(width).tobytes())

    def hexdigest(self) -> str:
        """The digest of all rows added so far."""
        columns = {name: digest.hexdigest() for name, digest in self._columns.items()}
        return hashlib.sha256(json.dumps(columns, sort_keys=True).encode()).hexdigest()
