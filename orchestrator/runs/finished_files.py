"""Files that a job has left in a run directory, as other jobs read them.

A JSON of facts, written last, makes them exist. A file that is damaged ends in one line.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pyarrow as pa

from orchestrator.interface.errors import UsageError

LONGEST_REASON = 160  # characters of what a library says of a damaged file


@contextmanager
def reading(path: Path, job: str) -> Iterator[None]:
    """Within it, a file of a job is read, and nothing else is done.

    Raises:
        UsageError: the file is missing or damaged; names it, the reason, and the job that writes it
            anew.
    """
    try:
        yield
    except FileNotFoundError:
        raise UsageError(f"{path}: missing; run {job} again, which writes it") from None
    except (ValueError, TypeError, OSError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, not the file's; pyarrow raises OSError for what it cannot decode
        reason = " ".join(str(error).split())[:LONGEST_REASON]
        raise UsageError(
            f"{path}: damaged ({reason}); remove it and run {job} again, which writes it anew"
        ) from None


def read_json(path: Path, job: str) -> dict[str, Any]:
    """A JSON object that a job has left."""
    with reading(path, job):
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
        return content


def read_parquet(path: Path, job: str, **options: Any) -> pd.DataFrame:
    """A Parquet table that a job has left; `options` as of `pandas.read_parquet`."""
    with reading(path, job):
        return pd.read_parquet(path, **options)


def read_csv(path: Path, job: str, columns: Collection[str], **options: Any) -> pd.DataFrame:
    """A CSV table that a job has left, which must have some columns: almost any text is a table."""
    with reading(path, job):
        table = pd.read_csv(path, **options)
        if lacking := [name for name in columns if name not in table.columns]:
            raise ValueError(f"no column {', '.join(lacking)}")
        return table


@dataclass(frozen=True)
class FinishedFiles:
    """The files of one job, read when they are needed."""

    folder: Path
    job: ClassVar[str]
    facts_file: ClassVar[str]

    @property
    def exists(self) -> bool:
        return (self.folder / self.facts_file).is_file()

    @cached_property
    def facts(self) -> dict[str, Any]:
        return read_json(self.folder / self.facts_file, self.job)
