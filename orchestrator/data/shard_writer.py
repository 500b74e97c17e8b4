"""Writes folders of shards: workers write the files, the driver the manifest that lists them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from orchestrator.runs import durable
from trainables import checksum
from trainables.representations import shards
from trainables.representations.columns import TARGET, Column, Columns


@dataclass(frozen=True)
class WrittenShard:
    """A shard as its worker reports it.

    Attributes:
        listed: its entry in the manifest: file, sha256, rows.
        digests: of its rows, 32 bytes each.
        values: the distinct targets if they are numbers, three at most.
    """

    listed: dict[str, Any]
    digests: bytes
    values: tuple[float, ...] = ()

    @classmethod
    def write(cls, folder: Path, row: int, table: pa.Table) -> WrittenShard:
        """Writes a shard into a folder that is there; its name is durable once that is synced.

        Args:
            row: of the source, at which the block of the shard begins; shards are ordered by it.
        """
        content = shards.encode(table)
        digest = hashlib.sha256(content).hexdigest()
        file = f"{row:08d}-{digest[:12]}.parquet"
        # A folder that is gone is the draft of a driver that has given up.
        draft = durable.Draft.of(folder / file, content, parents=False)
        draft.sync()
        draft.replace()
        listed = {"file": file, "sha256": digest, "rows": len(table)}
        return cls(listed, shards.row_digests(table), _few_values(table["target"]))

    def encode(self) -> bytes:
        """As bytes, which `decode` reads."""
        return json.dumps([self.listed, self.values]).encode() + b"\n" + self.digests

    @classmethod
    def decode(cls, content: bytes) -> WrittenShard:
        """The inverse of `encode`."""
        about, _, digests = content.partition(b"\n")
        listed, values = json.loads(about)
        return cls(listed, digests, tuple(values))


def _few_values(target: pa.ChunkedArray) -> tuple[float, ...]:
    if not pa.types.is_floating(target.type):
        return ()
    return tuple(pc.unique(target).drop_null().to_pylist()[:3])


class ShardWriter:
    """Lists the shards of one kind of graph, in the order of the source.

    Args:
        known: declaration of the target.
    """

    def __init__(self, folder: Path, columns: type[Columns], known: Column = TARGET) -> None:
        self._folder, self._known = folder, known
        self._values: set[float] = set()
        self._shards: list[dict[str, Any]] = []
        self._fingerprint = shards.Fingerprint(columns)
        self._crystals = 0
        durable.make_folder(folder)

    def note(self, written: WrittenShard) -> None:
        """Adds the next shard, which a worker has written."""
        self._shards.append(written.listed)
        self._fingerprint.update(written.digests)
        self._crystals += written.listed["rows"]
        if len(self._values) <= 2:
            self._values.update(written.values)

    def add(self, table: pa.Table) -> None:
        """Writes the next rows to a shard."""
        self.note(WrittenShard.write(self._folder, self._crystals, table))

    def close(self, facts: dict[str, Any]) -> None:
        """Writes the manifest, which makes the shards valid; removes what dead workers left.

        The folder is synced with it, and so are the names of the shards.
        """
        listed = {shard["file"] for shard in self._shards}
        for path in self._folder.iterdir():
            if path.name not in listed:
                path.unlink()
        manifest = {
            "format": shards.FORMAT_VERSION,
            **facts,
            **shards.declaration(self._known),
            "values": sorted(self._values) if len(self._values) <= 2 else [],
            "crystals": self._crystals,
            "fingerprint": self._fingerprint.hexdigest(),
            "shards": self._shards,
        }
        durable.write_json(self._folder / shards.MANIFEST, checksum.add(manifest))
