"""Reads files that a job has written into a run directory, for other jobs.

They exist once their JSON of facts does, which is written last. Each is verified by its digest in
`SHA256SUMS` before it is read; one that is damaged, or was made from other models than the run has
now, is reported in one line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pyarrow as pa

from orchestrator.interface.errors import UsageError
from orchestrator.runs import sums
from trainables import checksum

LONGEST_REASON = 160  # characters of a library's message about a damaged file


class OutdatedError(UsageError):
    """Files that were made from another state of the run than its present one."""


@contextmanager
def reading(path: Path, job: str) -> Iterator[None]:
    """Turns errors while reading one file of a job into a UsageError; wraps nothing else.

    Raises:
        UsageError: the file is missing or damaged; names the file, the reason, and the job that
            writes it again.
    """
    try:
        yield
    except FileNotFoundError:
        raise UsageError(f"{path}: missing; run {job} again, which writes it") from None
    except (ValueError, TypeError, KeyError, OSError, RecursionError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's error, not the file's; pyarrow's decoding errors are OSErrors too
        reason = " ".join(str(error).split())[:LONGEST_REASON]
        raise damaged(path, reason, job) from None


def damaged(path: Path, reason: str, job: str) -> UsageError:
    """The error for a file that is not as the job wrote it."""
    return UsageError(
        f"{path}: damaged ({reason}); remove it and run {job} again, which writes it anew"
    )


def verify(run: Path, name: str, job: str) -> Path:
    """Verifies a file of a run by its digest and returns its path.

    A file without a digest is reported, and accepted as it is.

    Raises:
        UsageError: it is missing, or differs from its digest.
    """
    path = run / name
    known = (sums.read(run) or {}).get(name)
    with reading(path, job):
        found = sums.of_file(path)
    if known is None:
        _say_once(run, name)
    elif found != known:
        raise damaged(path, f"its SHA-256 is not that in {sums.FILE}", job)
    return path


@lru_cache
def _say_once(run: Path, name: str) -> None:
    print(
        f"{run / name}: has no digest in {sums.FILE}, as of an earlier version, and is compared"
        " with none; the job that wrote it, run again, notes one",
        file=sys.stderr,
    )


def read_json(run: Path, name: str, job: str) -> dict[str, Any]:
    """Reads a JSON object that a job has written."""
    path = verify(run, name, job)
    with reading(path, job):
        return _object(path)


def read_sealed(path: Path, job: str) -> dict[str, Any]:
    """Reads a JSON object that contains its own digest; those of earlier versions have none."""
    with reading(path, job):
        content = _object(path)
        if checksum.DIGEST in content and not checksum.matches(content):
            raise ValueError("its digest is another")
        return content


def _object(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError("no JSON object")
    return content


def read_parquet(run: Path, name: str, job: str, **options: Any) -> pd.DataFrame:
    """Reads a Parquet table of a job; `options` are those of `pandas.read_parquet`."""
    path = verify(run, name, job)
    with reading(path, job):
        return pd.read_parquet(path, **options)


def read_csv(
    run: Path, name: str, job: str, columns: Collection[str], **options: Any
) -> pd.DataFrame:
    """Reads a CSV table of a job; checks its columns, as almost any text parses as a table."""
    path = verify(run, name, job)
    with reading(path, job):
        table = pd.read_csv(path, **options)
        if lacking := [name for name in columns if name not in table.columns]:
            raise ValueError(f"no column {', '.join(lacking)}")
        return table


@dataclass(frozen=True)
class FinishedFiles:
    """The files of one job, each read on first use."""

    folder: Path
    job: ClassVar[str]
    facts_file: ClassVar[str]

    @property
    def exists(self) -> bool:
        return (self.folder / self.facts_file).is_file()

    @cached_property
    def facts(self) -> dict[str, Any]:
        return read_json(self.folder, self.facts_file, self.job)

    def demand_made_from(self, name: str, digest: str) -> None:
        """Raises OutdatedError if the files were made from another state of `name`."""
        path = self.folder / self.facts_file
        of = self.facts.get(sums.MADE_FROM)
        if not isinstance(of, dict) or of.get(name) != digest:
            raise OutdatedError(
                f"{path}: made from another {name} than the run has now; run {self.job} again"
            )
