"""The digests of a run's derived files: `SHA256SUMS`, as `sha256sum --check` takes it.

Whatever is made of the records, and whatever other jobs leave, is written here and its SHA-256
noted; whoever reads it compares. A file takes its place first and its digest follows, so what a
crash leaves in between is made again and never believed.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.runs import durable

FILE = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64})  (.+)")
MADE_FROM = "made_from"  # in the metadata of a Parquet file or in a JSON object: digests by name


class _Hashing(io.RawIOBase):
    """Writes on, and hashes what is written."""

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
    """A file of a run to write, which takes its place when the block ends well."""
    with durable.replacing(run / name) as file:
        hashing = _Hashing(file)
        yield hashing  # type: ignore[misc]  # as much of a file as pyarrow wants
    note(run, {name: hashing.sha256.hexdigest()})


def write_bytes(run: Path, name: str, data: bytes) -> None:
    """Writes or replaces a file of a run whole."""
    with replacing(run, name) as file:
        file.write(data)


def write_text(run: Path, name: str, text: str) -> None:
    """Writes or replaces a UTF-8 text file of a run whole."""
    write_bytes(run, name, text.encode())


def write_json(run: Path, name: str, value: Any) -> None:
    """Writes or replaces a JSON file of a run whole."""
    write_text(run, name, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_parquet(
    run: Path, name: str, table: pa.Table, made_from: Mapping[str, str] | None = None
) -> None:
    """Writes or replaces a Parquet file of a run whole."""
    with replacing(run, name) as file:
        schema = with_made_from(table.schema, made_from)
        pq.write_table(table.replace_schema_metadata(schema.metadata), file, compression="zstd")


def with_made_from(schema: pa.Schema, made_from: Mapping[str, str] | None) -> pa.Schema:
    """The schema of a file that says what it was made from."""
    if not made_from:
        return schema
    own = {MADE_FROM.encode(): json.dumps(made_from).encode()}
    return schema.with_metadata((schema.metadata or {}) | own)


def made_from(schema: pa.Schema) -> dict[str, str]:
    """What a Parquet file was made from, as it says itself; nothing where it does not.

    Raises:
        ValueError: it says so in no JSON object.
    """
    found = json.loads((schema.metadata or {}).get(MADE_FROM.encode(), b"{}"))
    if not isinstance(found, dict):
        raise ValueError(f"{MADE_FROM} is no object")
    return found


def note(run: Path, digests: Mapping[str, str | None]) -> None:
    """Notes digests by name; None forgets a file. Lines of files that are gone go too."""
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
    """The digests by name; None where the run has none, as one of an earlier version.

    A line that is no digest, as after a flipped bit, is as if it were not there.
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
