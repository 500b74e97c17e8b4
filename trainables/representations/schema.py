"""Featurised crystals as a table: one row per crystal, its columns as their class declares them.

Legend: B crystals, N nodes.

| column | type | meaning |
|---|---|---|
| id, row | string, int64 | name, and position in the source, which determines the folds |
| target | as declared; float64 | in the unit of the manifest |
| of crystals | T | a value each |
| of nodes, edges | list<T> | a list each, of the crystal's nodes or edges |

T is the declared type, or a fixed-size list of it for a value with a shape.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.representations.columns import TARGET, Column, Columns, Scope
from trainables.representations.dataset import Dataset, G

C = TypeVar("C", bound=Columns)
ID, ROW = "id", "row"


def schema(kind: type[Columns], target: Column = TARGET) -> pa.Schema:
    """The columns of a table of crystals."""
    return schema_of([target, *kind.declared()])


def schema_of(declared: Iterable[Column]) -> pa.Schema:
    """The columns of a table of some declared columns."""
    types = [(one.name, _type(one)) for one in declared]
    return pa.schema([(ID, pa.string()), (ROW, pa.int64()), *types])


def names(kind: type[Columns]) -> list[str]:
    """Names of the columns of the graphs alone."""
    return [one.name for one in kind.declared()]


def _type(one: Column) -> pa.DataType:
    value = pa.from_numpy_dtype(np.dtype(one.dtype))
    if one.shape:
        value = pa.list_(value, one.size)
    return value if one.scope is Scope.CRYSTAL else pa.list_(value)


def to_table(
    ids: Sequence[str],
    rows: Sequence[int] | np.ndarray,
    target: np.ndarray,
    graphs: Columns,
    known: Column = TARGET,
) -> pa.Table:
    """Converts B crystals to a table of `schema`.

    Args:
        target: [B, *known.shape], or [N, *known.shape] if it belongs to nodes.
    """
    kind = type(graphs)
    arrays = [(known, target), *((one, getattr(graphs, one.name)) for one in kind.declared())]
    columns = [pa.array(ids, pa.string()), pa.array(rows, pa.int64())]
    columns += [_stored(one, values, graphs) for one, values in arrays]
    return pa.Table.from_arrays(columns, schema=schema(kind, known))


def _stored(one: Column, values: np.ndarray, graphs: Columns) -> pa.Array:
    flat = pa.array(values.reshape(-1), pa.from_numpy_dtype(np.dtype(one.dtype)))
    if one.shape:
        flat = pa.FixedSizeListArray.from_arrays(flat, one.size)
    if one.scope is Scope.CRYSTAL:
        return flat
    return pa.ListArray.from_arrays(pa.array(graphs.ptr(one.scope).astype(np.int32)), flat)


def joined(contents: Sequence[bytes]) -> pa.Table:
    """The rows of several Arrow streams, in their order."""
    return pa.concat_tables([pa.ipc.open_stream(content).read_all() for content in contents])


def from_table(table: pa.Table, kind: type[C], total: int, known: Column = TARGET) -> Dataset[C]:
    """The inverse of `to_table`, in the table's row order; `total` as in `Dataset`."""
    return dataset_of(table, graphs_of(table, kind), total, known)


def dataset_of(table: pa.Table, graphs: G, total: int, known: Column = TARGET) -> Dataset[G]:
    """The data set of a table's crystals, whose graphs are given; `total` as in `Dataset`."""
    ids = np.array(table[ID].to_pylist(), dtype=np.str_)
    target, rows = values_of(table, known), table[ROW].to_numpy()
    of_nodes = known.scope is not Scope.CRYSTAL
    ptr = pointer(table, known.name) if of_nodes else None
    return Dataset(graphs, target, ids, rows, total, target_ptr=ptr)


def graphs_of(table: pa.Table, kind: type[C]) -> C:
    """The graphs of a table that has at least their columns, in its row order."""
    declared = kind.declared()
    # of each scope one list, which knows how many rows each crystal has
    lists = {one.scope: one.name for one in reversed(declared) if one.scope is not Scope.CRYSTAL}
    arrays = {f"{scope}_ptr": pointer(table, name) for scope, name in lists.items()}
    return kind(**arrays, **{one.name: values_of(table, one) for one in declared})


def pointer(table: pa.Table, name: str) -> np.ndarray:
    """[rows+1] where the list of each row starts, in a column of lists."""
    sizes = table[name].combine_chunks().value_lengths().to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


def values_of(table: pa.Table, one: Column) -> np.ndarray:
    """[rows, *shape] the values of a column, one crystal after the other."""
    values = table[one.name].combine_chunks()
    while pa.types.is_list(values.type) or pa.types.is_fixed_size_list(values.type):
        values = values.flatten()
    flat: np.ndarray = values.to_numpy(zero_copy_only=False)
    return flat.reshape(-1, *one.shape)


def encode(table: pa.Table) -> bytes:
    """The bytes of a shard."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


class Fingerprint:
    """SHA-256 of the crystals' content, however they are divided into shards or compressed.

    It is made from a digest of each row, so that those who write the shards can read them in turn.

    Args:
        kind: class of the graphs.
        known: declaration of the target.
    """

    def __init__(self, kind: type[Columns], known: Column = TARGET) -> None:
        declared = [asdict(one) for one in (known, *kind.declared())]
        self._whole = hashlib.sha256(json.dumps(declared, sort_keys=True).encode())

    def update(self, digests: bytes) -> None:
        """Adds the next rows, of which `row_digests` are given."""
        self._whole.update(digests)

    def hexdigest(self) -> str:
        """The digest of all rows added so far."""
        return self._whole.hexdigest()


def row_digests(table: pa.Table) -> bytes:
    """SHA-256 of the content of each row, 32 bytes a row."""
    columns = [_bytes_of_rows(table[name].combine_chunks()) for name in table.column_names]
    digests = []
    for row in range(len(table)):
        digest = hashlib.sha256()
        for content, ptr in columns:
            value = content[ptr[row] : ptr[row + 1]]
            # with its length, or bytes could move from one column to the next
            digest.update(len(value).to_bytes(8, "little"))
            digest.update(value)
        digests.append(digest.digest())
    return b"".join(digests)


def _bytes_of_rows(column: pa.Array) -> tuple[memoryview, list[int]]:
    """The bytes of a column, the same on every machine, and where those of each row start."""
    if pa.types.is_string(column.type):
        texts = [text.encode() for text in column.to_pylist()]
        content, sizes = b"".join(texts), np.array([len(text) for text in texts], np.int64)
    else:
        sizes = np.ones(len(column), np.int64)
        if pa.types.is_list(column.type):
            sizes = column.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
            column = column.flatten()
        if pa.types.is_fixed_size_list(column.type):
            sizes, column = sizes * column.type.list_size, column.flatten()
        values = column.to_numpy(zero_copy_only=False)
        content = values.astype(values.dtype.newbyteorder("<")).tobytes()
        sizes = sizes * values.itemsize
    return memoryview(content), [0, *np.cumsum(sizes).tolist()]
