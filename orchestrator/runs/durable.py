"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
# What a file system answers to a call that it does not have: FAT and exFAT to a hard link (EPERM),
# FUSE and SMB variously, and some to the fsync of a folder.
LACKING = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EMLINK, errno.ENOTTY)
DRAFT = re.compile(r"\.(.+)\.[0-9a-f]{16}\.tmp", re.DOTALL)


def sync(path: Path) -> None:
    """Makes what a file holds, or the names in a folder, survive a power cut.

    A file system that syncs no folders keeps names as it will; there is no other way to ask it.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in LACKING or not path.is_dir():
            raise
    finally:
        os.close(handle)


def make_folder(path: Path) -> list[Path]:
    """Makes a folder and those above it that are missing, and lets their names last.

    Returns:
        Those that were missing, innermost first.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)
    return missing


@dataclass(frozen=True)
class Draft:
    """A file that is whole, under a name that nobody reads. Synced, it may take its place."""

    name: Path
    path: Path

    @classmethod
    def of(cls, path: Path, data: bytes) -> Draft:
        """Writes a draft of the file at `path`."""
        with drafting(path) as (file, draft):
            file.write(data)
        return draft

    def sync(self) -> None:
        """Waits until it is on disk."""
        with self._naming():
            sync(self.name)

    def replace(self) -> None:
        """Takes its place, and a former one's. It lasts when the folder is synced."""
        with self._naming():
            try:
                os.replace(self.name, self.path)
            except OSError:
                self.drop()
                raise

    def create(self) -> bool:
        """Takes its place if that is free, else False. It lasts when the folder is synced."""
        with self._naming():
            try:
                os.link(self.name, self.path)  # unlike a rename, a link never overwrites
            except FileExistsError:
                return False
            except OSError as error:
                # Linux says EPERM also of a file that is another user's: it is not, we have made it
                if error.errno not in LACKING:
                    raise
                return self._create_without_links()
            finally:
                self.drop()
        return True

    def _create_without_links(self) -> bool:
        """Takes its place where the file system has no hard links.

        An empty file that nobody else can make holds the place until the draft is renamed over it.
        A process that is killed between the two leaves it empty, which is not whole for any reader.
        """
        try:
            os.close(os.open(self.path, NEW, 0o666))
        except FileExistsError:
            return False
        try:
            # One that was suspended here may find the place cleared, or another's file in it.
            if os.stat(self.path).st_size:
                return False
            os.replace(self.name, self.path)
        except OSError:
            with suppress(OSError):
                if not os.stat(self.path).st_size:
                    self.path.unlink()
            raise
        return True

    def drop(self) -> None:
        """It is not wanted any more."""
        self.name.unlink(missing_ok=True)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Lets what the disk refuses be said of the file that a person knows."""
        try:
            yield
        except OSError as error:
            if error.filename in (None, str(self.name)):  # a write that fails names no file
                error.filename = str(self.path)
            raise


def name_draft(path: Path) -> Path:
    """A new name beside a file or folder, under which it may be made; `draft_of` tells of it."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


@contextmanager
def drafting(path: Path) -> Iterator[tuple[BinaryIO, Draft]]:
    """A file to write; it is a draft when the block ends well, else it is gone."""
    # Not mkstemp, whose files are for the owner alone; results are to be read by the group.
    draft = Draft(name_draft(path), path)
    with draft._naming():
        try:
            handle = os.open(draft.name, NEW, 0o666)
        except FileNotFoundError:  # seldom, and to ask each time costs as long as to open
            make_folder(path.parent)
            handle = os.open(draft.name, NEW, 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file, draft
                file.flush()
                if hasattr(os, "posix_fadvise"):  # the disk begins, and a later sync waits less
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        except BaseException:
            draft.drop()
            raise


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes its place (and a former one's) when the block ends well."""
    with drafting(path) as (file, draft):
        yield file
    draft.sync()
    draft.replace()
    sync(path.parent)


def draft_of(name: str) -> str | None:
    """The name of the file that one of this name is a draft of; None where it is no draft."""
    found = DRAFT.fullmatch(name)
    return found and found[1]


def same(file: int, path: Path) -> bool:
    """Whether an open file is the one that has a name."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


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
