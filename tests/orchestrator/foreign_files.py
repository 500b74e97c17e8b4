"""Trees of foreign files, and their state."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from hypothesis import strategies as st

# Names that people and programs use, and names that differ from ours by one letter.
NAMES = [
    *("notes.txt", ".x.tmp", "x.tmp", ".backup.1234.tmp", ".report.html.tmp", "a.json", ".hidden"),
    *(".ledger.parquet.0123456789abcdeg.tmp", ".mine.0123456789abcdef.tmp", "old.snapshot"),
    *("Mat2Vec-mine.csv", "Mat2Vec-S-mine.csv", "x.json.damaged", "core", "id_prop.csv"),
]
FOLDERS = [
    *("", "mine", "records", "shards", "shards/tiny/own", "checkpoints", ".tune", "tables"),
    *("submission", ".git", "mine/records", "mine/checkpoints", "mine/.tune", ".x.tmp.d"),
]
OLD = 1_600_000_000_123_456_789  # ns: a time before any test


def trees() -> st.SearchStrategy[dict[str, tuple[bytes, int]]]:
    """Content and mode by path; no name is that of a file of a run."""
    paths = st.builds(os.path.join, st.sampled_from(FOLDERS), st.sampled_from(NAMES))
    modes = st.sampled_from([0o644, 0o600, 0o444, 0o755])
    return st.dictionaries(paths, st.tuples(st.binary(max_size=40), modes), min_size=1, max_size=8)


def plant(root: Path, tree: dict[str, tuple[bytes, int]]) -> list[Path]:
    """Writes a tree with an old time of change, and a dangling link beside it."""
    planted = []
    for name, (content, mode) in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        os.utime(path, ns=(OLD, OLD))
        planted.append(path)
    return planted


def seen(paths: Iterable[Path]) -> dict[Path, tuple[int, int, str]]:
    """Kind and mode, time of the last change, and digest of each."""
    found = {}
    for path in paths:
        status = os.lstat(path)
        content = (
            path.read_bytes() if stat.S_ISREG(status.st_mode) else os.fsencode(os.readlink(path))
        )
        found[path] = (status.st_mode, status.st_mtime_ns, hashlib.sha256(content).hexdigest())
    return found


def listing(root: Path) -> list[str]:
    """Lists all names below a folder."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))
