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
from trainables.representations.columns import TARGET, Column, Columns, Scope
from trainables.representations.dataset import Dataset, G
from trainables.representations.schema import (
    ID,
    ROW,
    C,
    Fingerprint,
    dataset_of,
    encode,
    from_table,
    graphs_of,
    names,
    pointer,
    row_digests,
    schema,
    schema_of,
    to_table,
    values_of,
)
from trainables.representations.sizes import table_bytes

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST",
    "Contents",
    "DamagedError",
    "Fingerprint",
    "Shard",
    "ShardError",
    "declaration",
    "encode",
    "from_table",
    "graphs_of",
    "ids",
    "listing",
    "load",
    "load_contents",
    "load_without_graphs",
    "names",
    "read_graphs",
    "row_digests",
    "schema",
    "to_table",
]

FORMAT_VERSION = 2
# Format 1 has the same tables, but another fingerprint: it is read, and not taken for what is made
# anew.
READ = (1, FORMAT_VERSION)
MANIFEST = "manifest.json"


class ShardError(ValueError):
    """Shards that cannot be used; one line."""


class DamagedError(ShardError):
    """Shards that are missing, damaged or of another format; `what` is the line without remedy."""

    def __init__(self, what: str, folder: Path) -> None:
        super().__init__(f"{what}; remove {folder} to featurise again")
        self.what = what


def load(folder: Path, kind: type[C], known: Column = TARGET) -> Dataset[C]:
    """Loads all shards of a folder, verified by its manifest.

    Args:
        kind: class of the graphs.
        known: declaration of the target.

    Raises:
        ShardError: the manifest or a shard is missing or damaged, or of another format.
    """
    manifest = _manifest(folder)
    table = _table(folder, manifest, schema(kind, known))
    return from_table(table, kind, manifest["total"], known)


def load_without_graphs(folder: Path, graphs: G, known: Column = TARGET) -> Dataset[G]:
    """Loads a folder without its graphs, verified like `load`; holds one shard at a time.

    Args:
        graphs: used in place of those of the folder.
        known: declaration of the target.

    Raises:
        ShardError: as in `load`.
    """
    manifest = _manifest(folder)
    table = _table(folder, manifest, schema_of([known]))
    return dataset_of(table, graphs, manifest["total"], known)


def ids(folder: Path) -> np.ndarray:
    """Names [B] of the crystals of a folder, verified like `load`.

    Raises:
        ShardError: as in `load`.
    """
    table = _table(folder, _manifest(folder), pa.schema([(ID, pa.string())]))
    return np.array(table[ID].to_pylist(), dtype=np.str_)


@dataclass(frozen=True)
class Contents:
    """The composition of B crystals, with their property.

    Attributes:
        z, multiplicity, crystal: [N] atomic number, atoms and crystal of each node.
        target: [B, …], or flat if it belongs to nodes; rows: [B]; `total`: all as of `Dataset`.
    """

    z: np.ndarray
    multiplicity: np.ndarray
    crystal: np.ndarray
    target: np.ndarray
    rows: np.ndarray
    total: int


_Z, _MULTIPLICITY = Column("z", Scope.NODE, "uint8"), Column("multiplicity", Scope.NODE, "int32")


def load_contents(folder: Path) -> Contents:
    """Loads nodes and targets of a folder, without the edges; verified like `load`.

    Raises:
        ShardError: as in `load`.
    """
    manifest = _manifest(folder)
    known = _declared(manifest)
    table = _table(folder, manifest, schema_of([known, _Z, _MULTIPLICITY]))
    node_ptr = pointer(table, _Z.name)
    return Contents(
        z=values_of(table, _Z),
        multiplicity=values_of(table, _MULTIPLICITY),
        crystal=np.repeat(np.arange(len(table)), np.diff(node_ptr)),
        target=values_of(table, known),
        rows=table[ROW].to_numpy(),
        total=manifest["total"],
    )


def declaration(known: Column) -> dict[str, Any]:
    """The entry of a manifest that declares the target; none for a number a crystal."""
    if known == TARGET:
        return {}
    return {"column": {"scope": str(known.scope), "shape": list(known.shape)}}


def _declared(manifest: dict[str, Any]) -> Column:
    about = manifest.get("column", {})
    scope, shape = Scope(about.get("scope", TARGET.scope)), tuple(about.get("shape", ()))
    return Column(TARGET.name, scope, TARGET.dtype, shape)


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
    """A file of a folder, its sizes, and the class of its graphs.

    `edges` counts one for a crystal without any.
    """

    path: Path
    crystals: int
    nodes: int
    edges: int
    kind: type[Columns]

    @property
    def rows(self) -> dict[Scope, int]:
        """Crystals, nodes and edges."""
        return {Scope.CRYSTAL: self.crystals, Scope.NODE: self.nodes, Scope.EDGE: self.edges}

    @property
    def nbytes(self) -> int:
        """Bytes of the graphs in a table in memory."""
        return table_bytes(self.kind, self.rows)


def listing(folder: Path, kind: type[Columns]) -> list[Shard]:
    """The shards of a folder in order, with the sizes in the files' footers.

    Args:
        kind: class of the graphs.

    Raises:
        ShardError: the manifest or a shard is missing or damaged, or of another format.
    """
    found = []
    for shard in _manifest(folder)["shards"]:
        path = folder / shard["file"]
        # A footer has no checksum of its own.
        _verify(path, shard["sha256"])
        footer = pq.read_metadata(path)
        nodes, edges = (_counted(footer, kind, scope) for scope in (Scope.NODE, Scope.EDGE))
        found.append(Shard(path.resolve(), footer.num_rows, nodes, edges, kind))
    return found


def _counted(footer: Any, kind: type[Columns], scope: Scope) -> int:
    """Rows of a scope in a file; one for a crystal without any."""
    of_scope = [one.name for one in kind.declared() if one.scope is scope and not one.shape]
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    columns = [group.column(number) for group in groups for number in range(group.num_columns)]
    return sum(
        column.num_values
        for column in columns
        if column.path_in_schema.partition(".")[0] == of_scope[0]
    )


def _verify(path: Path, sha256: str) -> None:
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from None
    if found != sha256:
        raise _damaged(path)


def read_graphs(shard: Shard, chosen: np.ndarray) -> pa.Table:
    """The graphs of the crystals at the positions `chosen` in a shard, in that order."""
    # no threads: reading alongside a training has to keep to one core
    whole = pq.read_table(shard.path, columns=names(shard.kind), use_threads=False)
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
        if version in READ and not checksum.matches(manifest):
            raise ValueError("its digest is another")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, ShardError):
            raise
        raise DamagedError(f"{path}: damaged", folder) from None
    if version not in READ:
        known = " and ".join(map(str, READ))
        what = f"{path}: shards of format {version}, this version reads {known}"
        raise DamagedError(what, folder)
    return manifest
