"""Writes the featurised crystals of a source as a folder of shards."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa

from orchestrator.runs import durable
from trainables import checksum
from trainables.representations import shards
from trainables.representations.columns import TARGET, Column, Columns

ROWS_PER_SHARD = 8192


class FewValues:
    """The distinct numbers of a column, as long as there are two at most."""

    def __init__(self) -> None:
        self._found: set[float] = set()

    def add(self, column: pa.ChunkedArray) -> None:
        """Adds the next rows; a column of lists has no numbers."""
        if len(self._found) <= 2 and pa.types.is_floating(column.type):
            self._found.update(column.unique().to_pylist())

    @property
    def values(self) -> list[float]:
        """The numbers, ascending; nothing if there are more."""
        return sorted(self._found) if len(self._found) <= 2 else []


class ShardWriter:
    """Cuts the rows of one kind of graph into shards, named by their content."""

    def __init__(self, folder: Path, columns: type[Columns], known: Column = TARGET) -> None:
        self._folder = folder
        self._pending: list[pa.Table] = []
        self._shards: list[dict[str, Any]] = []
        self._fingerprint = shards.Fingerprint(shards.schema(columns, known))
        self._crystals = 0

    def add(self, table: pa.Table) -> None:
        """Adds the next rows, in source order."""
        self._pending.append(table)
        if sum(map(len, self._pending)) >= ROWS_PER_SHARD:
            self._flush()

    def _flush(self) -> None:
        table = pa.concat_tables(self._pending).combine_chunks()
        self._pending = []
        self._fingerprint.update(table)
        content = shards.encode(table)
        digest = hashlib.sha256(content).hexdigest()
        file = f"{len(self._shards):04d}-{digest[:12]}.parquet"
        durable.write_bytes(self._folder / file, content)
        self._shards.append({"file": file, "sha256": digest, "rows": len(table)})
        self._crystals += len(table)

    def close(self, facts: dict[str, Any]) -> None:
        """Writes the manifest, which makes the shards valid."""
        if self._pending:
            self._flush()
        manifest = {
            "format": shards.FORMAT_VERSION,
            **facts,
            "crystals": self._crystals,
            "fingerprint": self._fingerprint.hexdigest(),
            "shards": self._shards,
        }
        durable.write_json(self._folder / shards.MANIFEST, checksum.add(manifest))
