"""Files that are either complete or absent, whenever a process is killed."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import pyarrow as pa

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
# How file systems report that they lack a call: FAT and exFAT for a hard link (EPERM), FUSE and SMB
# variously, and some for the fsync of a folder.
LACKING = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EMLINK, errno.ENOTTY)
DRAFT = re.compile(r"\.(.+)\.[0-9a-f]{16}\.tmp", re.DOTALL)


def sync(path: Path) -> None:
    """Makes a file's content, or the names in a folder, survive a power cut.

    On file systems that cannot sync folders, names are only as durable as the file system makes
    them.
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
    """Makes a folder and its missing parents, and syncs their names.

    Returns:
        The folders that were missing, innermost first.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)
    return missing


@dataclass(frozen=True)
class Draft:
    """A complete file under a temporary name, to be moved to its place once it is synced."""

    name: Path
    path: Path

    @classmethod
    def of(cls, path: Path, data: bytes, *, parents: bool = True) -> Draft:
        """Writes a draft of the file at `path`; `parents` as in `drafting`."""
        with drafting(path, parents=parents) as (file, draft):
            file.write(data)
        return draft

    def sync(self) -> None:
        """Waits until the draft is on disk."""
        with self._naming():
            sync(self.name)

    def replace(self) -> None:
        """Moves the draft to its place, over a former file; durable once the folder is synced."""
        with self._naming():
            try:
                os.replace(self.name, self.path)
            except OSError:
                self.drop()
                raise

    def create(self) -> bool:
        """Moves the draft to its place if that is free, else False; durable once synced."""
        with self._naming():
            try:
                os.link(self.name, self.path)  # unlike a rename, a link never overwrites
            except FileExistsError:
                return False
            except OSError as error:
                # Linux also reports EPERM for another user's file; this one is ours
                if error.errno not in LACKING:
                    raise
                return self._create_without_links()
            finally:
                self.drop()
        return True

    def _create_without_links(self) -> bool:
        """Moves the draft to its place on a file system without hard links.

        An empty file, created exclusively, reserves the place until the draft is renamed over it.
        If the process is killed in between, it stays empty, and readers take it for incomplete.
        """
        try:
            os.close(os.open(self.path, NEW, 0o666))
        except FileExistsError:
            return False
        try:
            # After a suspension here, the place may have been cleared, or taken by another file.
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
        """Deletes the draft."""
        self.name.unlink(missing_ok=True)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Names the final file, not the draft, in the block's OSErrors."""
        try:
            yield
        except OSError as error:
            if error.filename in (None, str(self.name)):  # a failed write names no file
                error.filename = str(self.path)
            raise


def name_draft(path: Path) -> Path:
    """A unique temporary name beside a file or folder; `draft_of` is its inverse."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


@contextmanager
def drafting(path: Path, *, parents: bool = True) -> Iterator[tuple[BinaryIO, Draft]]:
    """A file to write, with its draft; the draft is deleted if the block raises.

    Args:
        parents: whether a missing folder is made; else it is an error.
    """
    # Not mkstemp, whose files only their owner can read: a group reads the results.
    draft = Draft(name_draft(path), path)
    with draft._naming():
        try:
            handle = os.open(draft.name, NEW, 0o666)
        except FileNotFoundError:  # rare, and checking each time costs as much as opening
            if not parents:
                raise
            make_folder(path.parent)
            handle = os.open(draft.name, NEW, 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file, draft
                file.flush()
                if hasattr(os, "posix_fadvise"):  # starts writing, so that a later sync is short
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        except BaseException:
            draft.drop()
            raise


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which replaces `path` durably when the block ends without an error."""
    with drafting(path) as (file, draft):
        yield file
    draft.sync()
    draft.replace()
    sync(path.parent)


def draft_of(name: str) -> str | None:
    """The name of the file of which `name` is a draft; None if it is not a draft's name."""
    found = DRAFT.fullmatch(name)
    return found and found[1]


def drafts(folder: Path, is_ours: Callable[[str], object]) -> list[Path]:
    """The drafts in a folder, if there is one, of files with names that are ours."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in names if is_ours(draft_of(name) or "")]


def same(file: int, path: Path) -> bool:
    """Whether an open file is the one at `path`."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def write_bytes(path: Path, data: bytes) -> None:
    """Writes or replaces a complete file."""
    with replacing(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Writes or replaces a complete UTF-8 text file."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Writes or replaces a complete JSON file."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_parquet(path: Path, table: pa.Table) -> None:
    """Writes or replaces a complete Parquet file."""
    import pyarrow.parquet as pq  # many who write other files need none

    with replacing(path) as file:
        pq.write_table(table, file, compression="zstd")
