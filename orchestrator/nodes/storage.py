"""Finds which features the file system of a run directory lacks, by trying from a second process.

It needs only the standard library, so that a process of its own answers within milliseconds:
`python storage.py PROBE` prints the result of `look` as JSON.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

LINKS, LOCKS, SYNC = "hard links", "locks that processes share", "fsync of folders"
TAKES = (fcntl.lockf, fcntl.flock)  # used by records and by the lease
NOW = fcntl.LOCK_EX | fcntl.LOCK_NB


@contextmanager
def shown(probe: str) -> Iterator[None]:
    """Holds the locks of a file while others look at it; without locks, `look` reports it."""
    with open(probe, "r+b") as file:
        for take in TAKES:
            with suppress(OSError):
                take(file, NOW)
        yield


def look(probe: str) -> dict[str, Any]:
    """Looks at a file that another process holds with `shown`.

    Returns:
        seen: whether the file is here; lacks: which of the features above the file system lacks;
        fails: what a run needs and does not work, or ""; left: a file made by this process, which
        the other one should see, and remove.
    """
    found: dict[str, Any] = {"seen": os.path.isfile(probe), "lacks": [], "fails": "", "left": ""}
    if not found["seen"]:
        return found
    stem = probe.removesuffix(".tmp")[:-16]  # before the random part: docs of `durable.draft_of`
    made, left = (f"{stem}{os.urandom(8).hex()}.tmp" for _ in range(2))
    try:
        with open(made, "xb") as file:
            file.write(b"made")
            file.flush()
            os.fsync(file.fileno())
        os.replace(made, left)
        with open(left, "rb") as file:
            whole = file.read() == b"made"
        if not whole or os.path.exists(made):
            raise OSError(0, "does not rename files")
        if not _made_once(probe):
            raise OSError(0, "lets two processes make one file")
    except OSError as error:
        for name in (made, left):
            with suppress(OSError):
                os.unlink(name)
        return found | {"fails": error.strerror or str(error)}
    lacks = {LINKS: not _links(left, made), LOCKS: not _locked(probe), SYNC: not _syncs(probe)}
    return found | {"left": left, "lacks": [name for name, lacking in lacks.items() if lacking]}


def _made_once(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return True
    return False


def _links(path: str, other: str) -> bool:
    try:
        os.link(path, other)
    except OSError:
        return False
    os.unlink(other)
    return True


def _locked(path: str) -> bool:
    """Whether this process meets the locks that the other one holds."""
    for take in TAKES:
        with open(path, "r+b") as file:
            try:
                take(file, NOW)
            except (BlockingIOError, PermissionError):  # EAGAIN, or EACCES as POSIX allows
                continue
            except OSError:  # there are no locks
                return False
            return False
    return True


def _syncs(path: str) -> bool:
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError:
        return False
    finally:
        os.close(folder)
    return True


if __name__ == "__main__":
    print(json.dumps(look(sys.argv[1])))
