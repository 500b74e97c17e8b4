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
from collections.abc import Iterable, Mapping, Sequence
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


def table_bytes(kind: type[Columns], rows: Mapping[Scope, int]) -> int:
    """Bytes of the graphs in a table in memory.

    Args:
        rows: crystals, nodes, and edges.
    """
    offset = pa.int32().bit_width // 8
    lists = sum(one.scope is not Scope.CRYSTAL for one in kind.declared())
    values = sum(rows[one.scope] * one.nbytes for one in kind.declared())
    return rows[Scope.CRYSTAL] * offset * lists + values


def columns_bytes(kind: type[Columns], rows: Mapping[Scope, int]) -> int:
    """Bytes of the flat arrays of graphs, with their pointers; `rows` as in `table_bytes`."""
    pointers = rows[Scope.CRYSTAL] * np.dtype(np.int64).itemsize * len(kind.scopes())
    return pointers + sum(rows[one.scope] * one.nbytes for one in kind.declared())


def encode(table: pa.Table) -> bytes:
    """The bytes of a shard."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


class Fingerprint:
    """SHA-256 of the crystals' content, however they are divided into shards or compressed.

    Args:
        columns: of the tables.
    """

    def __init__(self, columns: pa.Schema) -> None:
        # Lengths of lists have digests of their own, or the division into shards would matter.
        sized = [field.name for field in columns if _has_lengths(field.type)]
        found = [*columns.names, *(f"{name}/length" for name in sized)]
        self._names = columns.names
        self._columns = {name: hashlib.sha256() for name in found}

    def update(self, table: pa.Table) -> None:
        """Adds the next rows."""
        for name in self._names:
            column = table[name].combine_chunks()
            if name == ID:
                values = [value.encode() for value in column.to_pylist()]
                self._add(f"{name}/length", np.array([len(value) for value in values]))
                self._columns[name].update(b"".join(values))
                continue
            if pa.types.is_list(column.type):
                self._add(f"{name}/length", column.value_lengths())
                column = column.flatten()
            if pa.types.is_fixed_size_list(column.type):
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


def _has_lengths(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_string(kind))
