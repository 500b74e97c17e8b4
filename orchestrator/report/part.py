"""A job's part of the report, and the check that its files belong to the run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from orchestrator.runs.finished_files import FinishedFiles, OutdatedError
from orchestrator.runs.ledger import LEDGER

T = TypeVar("T")
Sections = list[tuple[str, str]]  # title, HTML


@dataclass(frozen=True)
class Part:
    """Sections of one job; the page takes title and subtitle from its first part."""

    sections: Sections
    title: str = ""
    subtitle: str = ""


MakePart = Callable[[], Part]


def filled(sections: Iterable[tuple[str, Callable[[T], str]]], found: T) -> Sections:
    """The sections that are not empty, rendered from a job's files."""
    return [(title, body) for title, make in sections if (body := make(found))]


def belongs(files: FinishedFiles, digest: str) -> bool:
    """Whether a job's files exist and were made from the models that the report is about."""
    if not files.exists:
        return False
    try:
        files.demand_made_from(LEDGER, digest)
    except OutdatedError as error:
        print(f"{error}; the report leaves {files.job} out", file=sys.stderr)
        return False
    return True
