"""Bytes that featurised crystals take: in a table, as flat arrays, and on a device."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from trainables.representations.columns import TARGET, Column, Columns, Scope


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


def device_bytes(kind: type[Columns], rows: Mapping[Scope, int]) -> int:
    """Bytes of `batches.DeviceColumns` in single precision, without their targets.

    Args:
        rows: crystals, nodes, and edges; each edge counts as a length.
    """
    prepared = type(kind.empty().prepared())
    rows = {**rows, Scope.LENGTH: rows[Scope.EDGE]}
    pointers = 2 * np.dtype(np.int64).itemsize * len(prepared.scopes())  # and sizes
    total = rows[Scope.CRYSTAL] * pointers
    for one in prepared.declared():
        width = np.dtype(np.float32).itemsize if one.wide.kind == "f" else one.wide.itemsize
        total += rows[one.scope] * one.size * width
    return total


def resident_bytes(kind: type[Columns], rows: Mapping[Scope, int], known: Column = TARGET) -> int:
    """Bytes of graphs in a worker that trains from memory, if all their lengths are distinct.

    Temporary memory during loading or a step is not included; `rows` as in `table_bytes`.
    """
    targets = rows[known.scope] * known.size * np.dtype(np.float32).itemsize
    flat = columns_bytes(kind, rows)
    return flat + device_bytes(kind, rows) + targets
