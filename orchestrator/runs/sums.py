"""Digests of a run's derived files: `SHA256SUMS`, in the format of `sha256sum --check`.

Files made from the records, and those of other jobs, are written here and their SHA-256 noted;
every reader compares. The digest is noted after the file is in place, so that files left by a crash
in between are made again and never trusted.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.runs import durable

FILE = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64})  (.+)")
MADE_FROM = "made_from"  # key in Parquet metadata or in a JSON object: digests by name


class _Hashing(io.RawIOBase):
    """Writes to a file, and hashes what is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        return self._file.write(data)


@contextmanager
def replacing(run: Path, name: str) -> Iterator[BinaryIO]:
    """A file of a run to write, which takes its place when the block ends without an error."""
    with durable.replacing(run / name) as file:
        hashing = _Hashing(file)
        yield hashing  # type: ignore[misc]  # has the methods that pyarrow calls
    note(run, {name: hashing.sha256.hexdigest()})


def write_bytes(run: Path, name: str, data: bytes) -> Path:
    """Writes or replaces a complete file of a run; returns its path, as the others below."""
    with replacing(run, name) as file:
        file.write(data)
    return run / name


def write_text(run: Path, name: str, text: str) -> Path:
    """Writes or replaces a complete UTF-8 text file of a run."""
    return write_bytes(run, name, text.encode())


def write_json(run: Path, name: str, value: Any) -> Path:
    """Writes or replaces a complete JSON file of a run."""
    return write_text(run, name, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_parquet(
    run: Path, name: str, table: pa.Table, made_from: Mapping[str, str] | None = None
) -> Path:
    """Writes or replaces a complete Parquet file of a run."""
    with replacing(run, name) as file:
        schema = with_made_from(table.schema, made_from)
        pq.write_table(table.replace_schema_metadata(schema.metadata), file, compression="zstd")
    return run / name


def write_rows(run: Path, name: str, rows: Iterable[dict[str, Any]], schema: pa.Schema) -> Path:
    """Writes or replaces a Parquet file of rows, of which each has some of a schema's columns."""
    return write_parquet(run, name, pa.Table.from_pylist(list(rows), schema))


def with_made_from(schema: pa.Schema, made_from: Mapping[str, str] | None) -> pa.Schema:
    """Adds to a schema the digests of what the file was made from."""
    if not made_from:
        return schema
    own = {MADE_FROM.encode(): json.dumps(made_from).encode()}
    return schema.with_metadata((schema.metadata or {}) | own)


def made_from(schema: pa.Schema) -> dict[str, str]:
    """Digests of what a Parquet file was made from, from its metadata; {} if it has none.

    Raises:
        ValueError: the entry is not a JSON object.
    """
    found = json.loads((schema.metadata or {}).get(MADE_FROM.encode(), b"{}"))
    if not isinstance(found, dict):
        raise ValueError(f"{MADE_FROM} is no object")
    return found


def note(run: Path, digests: Mapping[str, str | None]) -> None:
    """Notes digests by name; None deletes an entry. Entries of missing files are deleted too."""
    known: dict[str, str | None] = {**(read(run) or {}), **digests}
    lines = [
        f"{digest}  {name}\n"
        for name, digest in sorted(known.items())
        if digest and (run / name).is_file()
    ]
    durable.write_text(run / FILE, "".join(lines))


def remove(run: Path, *names: str) -> None:
    """Removes files of a run; their digests first."""
    there = [name for name in names if (run / name).exists()]
    if there:
        note(run, dict.fromkeys(there))
    for name in there:
        (run / name).unlink(missing_ok=True)


def read(run: Path) -> dict[str, str] | None:
    """Reads the digests by name; None if the run, as one of an earlier version, has no file.

    Malformed lines, as after a flipped bit, are ignored.
    """
    try:
        text = (run / FILE).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    found = filter(None, map(LINE.fullmatch, text.split("\n")))
    return {match[2]: match[1] for match in found}


def of_file(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
