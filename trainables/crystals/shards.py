"""Featurised crystals as Parquet: one row a crystal, its graph in flat lists.

| column | type | meaning |
|---|---|---|
| id, row | string, int64 | name, and position in the source, which decides the folds |
| target | float64 | in the unit of the schema's metadata |
| z | list<uint8> | atomic number of each node |
| multiplicity | list<int32> | atoms that a node stands for |
| dst, src | list<int32> | edges dst <- src, indices into the crystal's nodes, sorted by dst |
| distance | list<int32> | 1e-3 Å |
| count | list<int32> | neighbours that an edge stands for, per atom of dst |

A folder of shards has a `manifest.json` that names each shard with rows and SHA-256; a shard's
file name carries the start of its digest.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.crystals.dataset import Dataset, G
from trainables.crystals.graph import Graphs

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
NODE_COLUMNS = {"z": pa.uint8(), "multiplicity": pa.int32()}
EDGE_COLUMNS = {"dst": pa.int32(), "src": pa.int32(), "distance": pa.int32(), "count": pa.int32()}
GRAPH_COLUMNS = (*NODE_COLUMNS, *EDGE_COLUMNS)
SCHEMA = pa.schema(
    [("id", pa.string()), ("row", pa.int64()), ("target", pa.float64())]
    + [(name, pa.list_(kind)) for name, kind in (NODE_COLUMNS | EDGE_COLUMNS).items()]
)


class ShardError(ValueError):
    """Shards that cannot be used, in one line."""


class DamagedError(ShardError):
    """Shards that are missing, damaged or of another format; `what` is the line without remedy."""

    def __init__(self, what: str, folder: Path) -> None:
        super().__init__(f"{what}; remove {folder} to featurise again")
        self.what = what


def to_table(
    ids: Sequence[str], rows: Sequence[int] | np.ndarray, target: np.ndarray, graphs: Graphs
) -> pa.Table:
    """B crystals as a table of `SCHEMA`."""

    def lists(name: str, ptr: np.ndarray, kind: pa.DataType) -> pa.Array:
        offsets = pa.array(ptr.astype(np.int32))
        return pa.ListArray.from_arrays(offsets, pa.array(getattr(graphs, name), kind))

    columns = [pa.array(ids, pa.string()), pa.array(rows, pa.int64()), pa.array(target)]
    columns += [lists(name, graphs.node_ptr, kind) for name, kind in NODE_COLUMNS.items()]
    columns += [lists(name, graphs.edge_ptr, kind) for name, kind in EDGE_COLUMNS.items()]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def from_table(table: pa.Table, total: int) -> Dataset[Graphs]:
    """The inverse of `to_table`, in the table's row order; `total` as in `Dataset`."""

    return _dataset(table, graphs_of(table), total)


def _dataset(table: pa.Table, graphs: G, total: int) -> Dataset[G]:
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
    """SHA-256 of what the crystals say, however they are cut into shards or compressed."""

    def __init__(self) -> None:
        # Lengths of lists have digests of their own, or the cuts between shards would show.
        sized = ("id", *NODE_COLUMNS, *EDGE_COLUMNS)
        names = [*SCHEMA.names, *(f"{name}/length" for name in sized)]
        self._columns = {name: hashlib.sha256() for name in names}

    def update(self, table: pa.Table) -> None:
        """Takes in the next rows."""
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
        # one byte order and one width of lengths on every machine
        array = np.asarray(values)
        width = "<i8" if name.endswith("/length") else array.dtype.newbyteorder("<")
        self._columns[name].update(array.astype(width).tobytes())

    def hexdigest(self) -> str:
        """Of all rows taken in so far."""
        columns = {name: digest.hexdigest() for name, digest in self._columns.items()}
        return hashlib.sha256(json.dumps(columns, sort_keys=True).encode()).hexdigest()


def load(folder: Path) -> Dataset[Graphs]:
    """All shards of a folder, verified against its manifest.

    Raises:
        ShardError: the manifest or a shard is missing or damaged, or of another format.
    """
    manifest = _manifest(folder)
    return from_table(_table(folder, manifest, SCHEMA), manifest["total"])


def load_without_graphs(folder: Path, graphs: G) -> Dataset[G]:
    """What is small of a folder, verified like `load`; one shard at a time is in memory.

    Args:
        graphs: stand for those of the folder.

    Raises:
        ShardError: as by `load`.
    """
    manifest = _manifest(folder)
    small = pa.schema([field for field in SCHEMA if field.name not in GRAPH_COLUMNS])
    return _dataset(_table(folder, manifest, small), graphs, manifest["total"])


@dataclass(frozen=True)
class Contents:
    """What B crystals consist of, with their property.

    Attributes:
        z, multiplicity, crystal: [N] atomic number, atoms and crystal of each node.
        target, rows: [B], as of `Dataset`; `total` too.
    """

    z: np.ndarray
    multiplicity: np.ndarray
    crystal: np.ndarray
    target: np.ndarray
    rows: np.ndarray
    total: int


def load_contents(folder: Path) -> Contents:
    """Nodes and targets of a folder, without the edges; verified like `load`.

    Raises:
        ShardError: as by `load`.
    """
    manifest = _manifest(folder)
    few = pa.schema([field for field in SCHEMA if field.name not in EDGE_COLUMNS])
    table = _table(folder, manifest, few)
    nodes = {name: table[name].combine_chunks() for name in NODE_COLUMNS}
    sizes = nodes["z"].value_lengths().to_numpy(zero_copy_only=False)
    z, multiplicity = (nodes[name].flatten().to_numpy() for name in NODE_COLUMNS)
    return Contents(
        z=z,
        multiplicity=multiplicity,
        crystal=np.repeat(np.arange(len(sizes)), sizes),
        target=table["target"].to_numpy(),
        rows=table["row"].to_numpy(),
        total=manifest["total"],
    )


def _table(folder: Path, manifest: dict[str, Any], schema: pa.Schema) -> pa.Table:
    """The schema's columns of all shards, verified."""
    tables = [schema.empty_table()]
    for shard in manifest["shards"]:
        path = folder / shard["file"]
        content = _read(path)
        if hashlib.sha256(content).hexdigest() != shard["sha256"]:
            raise _damaged(path)
        tables.append(pq.read_table(io.BytesIO(content), columns=schema.names))
    return pa.concat_tables(tables)


@dataclass(frozen=True)
class Shard:
    """A file of a folder, and what is in it; `edges` counts one for a crystal without any."""

    path: Path
    crystals: int
    nodes: int
    edges: int

    @property
    def nbytes(self) -> int:
        """Of `GRAPH_COLUMNS` in memory."""
        bits = self.crystals * pa.int32().bit_width * len(GRAPH_COLUMNS)  # offsets of the lists
        bits += self.nodes * sum(kind.bit_width for kind in NODE_COLUMNS.values())
        bits += self.edges * sum(kind.bit_width for kind in EDGE_COLUMNS.values())
        return bits // 8


def listing(folder: Path) -> list[Shard]:
    """The shards of a folder in order, with the sizes that the files' footers tell.

    Raises:
        ShardError: the manifest or a shard is missing or damaged, or of another format.
    """
    found = []
    for shard in _manifest(folder)["shards"]:
        path = folder / shard["file"]
        # A footer has no checksum of its own.
        _verify(path, shard["sha256"])
        footer = pq.read_metadata(path)
        groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
        values = dict.fromkeys(SCHEMA.names, 0)
        for group in groups:
            for number in range(group.num_columns):
                column = group.column(number)
                values[column.path_in_schema.partition(".")[0]] += column.num_values
        found.append(Shard(path.resolve(), footer.num_rows, values["z"], values["dst"]))
    return found


def _verify(path: Path, sha256: str) -> None:
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from None
    if found != sha256:
        raise _damaged(path)


def read_graphs(shard: Shard, chosen: np.ndarray) -> pa.Table:
    """`GRAPH_COLUMNS` of the crystals at the positions `chosen` in a shard, in that order."""
    # no threads: what reads beside a training is to keep to one core
    whole = pq.read_table(shard.path, columns=list(GRAPH_COLUMNS), use_threads=False)
    return whole.take(chosen)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None


def _damaged(path: Path) -> ShardError:
    return DamagedError(f"{path}: damaged (SHA-256 differs)", path.parent)


def _unreadable(path: Path, error: OSError) -> ShardError:
    if isinstance(error, FileNotFoundError):
        return DamagedError(f"{path}: missing", path.parent)
    return ShardError(f"{path}: cannot be read ({error.strerror or error})")


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(_read(path))
        version = manifest["format"]
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, ShardError):
            raise
        raise DamagedError(f"{path}: damaged", folder) from None
    if version != FORMAT_VERSION:
        raise DamagedError(
            f"{path}: shards of format {version}, this version reads {FORMAT_VERSION}", folder
        )
    return manifest
