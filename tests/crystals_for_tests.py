"""Data sets as tables and as shards."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from trainables import checksum
from trainables.representations import shards
from trainables.representations.dataset import Dataset


def table_of(data: Dataset) -> pa.Table:
    """A data set as the table of its shards."""
    return shards.to_table(data.ids.tolist(), data.rows, data.target, data.graphs)


def write_shards(folder: Path, data: Dataset, cuts: int) -> list[Path]:
    """Writes a data set as so many shards, with a manifest that readers accept."""
    paths, entries, table = [], [], table_of(data)
    for number, rows in enumerate(np.array_split(np.arange(len(table)), cuts)):
        content = shards.encode(table.slice(rows[0], len(rows)))
        paths.append(folder / f"{number:04d}.parquet")
        paths[-1].write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        entries.append({"file": paths[-1].name, "sha256": digest, "rows": len(rows)})
    manifest = {"format": shards.FORMAT_VERSION, "shards": entries, "total": data.total}
    (folder / shards.MANIFEST).write_text(json.dumps(checksum.add(manifest)))
    return paths
