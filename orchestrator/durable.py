"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq


def sync_folder(folder: Path) -> None:
    """Makes renames within a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _temporary(path: Path) -> Iterator[tuple[BinaryIO, str]]:
    """A file beside `path` and its name; whatever happens, it is gone afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file, name
    finally:
        Path(name).unlink(missing_ok=True)


def _settle(file: BinaryIO, name: str) -> None:
    file.flush()
    os.fsync(file.fileno())
    # mkstemp makes files for the owner alone; results are to be read by the group.
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(name, 0o666 & ~mask)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes its place (and that of a former one) when the block ends well."""
    with _temporary(path) as (file, name):
        yield file
        _settle(file, name)
        os.replace(name, path)
        sync_folder(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Writes or replaces a file whole."""
    with replacing(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Writes or replaces a UTF-8 text file whole."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Writes or replaces a JSON file whole."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_parquet(path: Path, table: pa.Table) -> None:
    """Writes or replaces a Parquet file whole."""
    with replacing(path) as file:
        pq.write_table(table, file, compression="zstd")


def create_bytes(path: Path, data: bytes) -> bool:
    """Writes a file whole unless there is one already; False where there was."""
    with _temporary(path) as (file, name):
        file.write(data)
        _settle(file, name)
        try:
            os.link(name, path)  # unlike a rename, a link never overwrites
        except FileExistsError:
            return False
        sync_folder(path.parent)
    return True
