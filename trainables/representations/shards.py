"""Reads and verifies folders of shards: Parquet files of featurised crystals.

A folder has a `manifest.json` with rows and SHA-256 of each shard, and a digest of its own; a
shard's file name contains the start of its digest. Everything read is verified by it.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables import checksum
from trainables.representations.dataset import Dataset, G
from trainables.representations.graph import Graphs
from trainables.representations.schema import (
    EDGE_COLUMNS,
    GRAPH_COLUMNS,
    NODE_COLUMNS,
    SCHEMA,
    Fingerprint,
    dataset_of,
    encode,
    from_table,
    graphs_of,
    to_table,
)

__all__ = [
    "EDGE_COLUMNS",
    "FORMAT_VERSION",
    "GRAPH_COLUMNS",
    "MANIFEST",
    "NODE_COLUMNS",
    "SCHEMA",
    "Contents",
    "DamagedError",
    "Fingerprint",
    "Shard",
    "ShardError",
    "encode",
    "from_table",
    "graphs_of",
    "listing",
    "load",
    "load_contents",
    "load_without_graphs",
    "read_graphs",
    "to_table",
]

FORMAT_VERSION = 1
MANIFEST = "manifest.json"


class ShardError(ValueError):
    """Shards that cannot be used; one line."""


class DamagedError(ShardError):
    """Shards that are missing, damaged or of another format; `what` is the line without remedy."""

    def __init__(self, what: str, folder: Path) -> None:
        super().__init__(f"{what}; remove {folder} to featurise again")
        self.what = what


def load(folder: Path) -> Dataset[Graphs]:
    """Loads all shards of a folder, verified by its manifest.

    Raises:
        ShardError: the manifest or a shard is missing or damaged, or of another format.
    """
    manifest = _manifest(folder)
    return from_table(_table(folder, manifest, SCHEMA), manifest["total"])


def load_without_graphs(folder: Path, graphs: G) -> Dataset[G]:
    """Loads a folder without its graphs, verified like `load`; holds one shard at a time.

    Args:
        graphs: used in place of those of the folder.

    Raises:
        ShardError: as in `load`.
    """
    manifest = _manifest(folder)
    small = pa.schema([field for field in SCHEMA if field.name not in GRAPH_COLUMNS])
    return dataset_of(_table(folder, manifest, small), graphs, manifest["total"])


@dataclass(frozen=True)
class Contents:
    """The composition of B crystals, with their property.

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
    """Loads nodes and targets of a folder, without the edges; verified like `load`.

    Raises:
        ShardError: as in `load`.
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
    """A file of a folder, and its sizes; `edges` counts one for a crystal without any."""

    path: Path
    crystals: int
    nodes: int
    edges: int

    @property
    def nbytes(self) -> int:
        """Bytes of `GRAPH_COLUMNS` in memory."""
        bits = self.crystals * pa.int32().bit_width * len(GRAPH_COLUMNS)  # offsets of the lists
        bits += self.nodes * sum(kind.bit_width for kind in NODE_COLUMNS.values())
        bits += self.edges * sum(kind.bit_width for kind in EDGE_COLUMNS.values())
        return bits // 8


def listing(folder: Path) -> list[Shard]:
    """The shards of a folder in order, with the sizes in the files' footers.

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
    # no threads: reading alongside a training has to keep to one core
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
        if version == FORMAT_VERSION and not checksum.matches(manifest):
            raise ValueError("its digest is another")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, ShardError):
            raise
        raise DamagedError(f"{path}: damaged", folder) from None
    if version != FORMAT_VERSION:
        raise DamagedError(
            f"{path}: shards of format {version}, this version reads {FORMAT_VERSION}", folder
        )
    return manifest
