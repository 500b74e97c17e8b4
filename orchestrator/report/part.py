"""A job's part of the report, and the check that its files belong to the run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from markupsafe import Markup

from orchestrator.interface.page import section
from orchestrator.runs.finished_files import FinishedFiles, OutdatedError
from orchestrator.runs.ledger import LEDGER

T = TypeVar("T")
Values = dict[str, Any]  # sentences, tables and figures that fill a section's template
Sections = list[tuple[str, Markup]]  # title, HTML


@dataclass(frozen=True)
class Part:
    """Sections of one job; the page takes title and subtitle from the first part that has one."""

    sections: Sections
    title: str = ""
    subtitle: str = ""


MakePart = Callable[[], Part]


def filled(
    job: str, sections: Iterable[tuple[str, Callable[[T], Values | None]]], found: T
) -> Sections:
    """Renders the sections that are not empty.

    The values that a function of `sections` returns fill the macro of its name in the job's
    `sections.html`; None leaves the section out.
    """
    return [
        (title, section(job, find.__name__, values))
        for title, find in sections
        if (values := find(found)) is not None
    ]


def belongs(files: FinishedFiles, digest: str) -> bool:
    """Whether a job's files were made from the models that the report is about."""
    try:
        files.demand_made_from(LEDGER, digest)
    except OutdatedError as error:
        print(f"{error}; the report leaves {files.job} out", file=sys.stderr)
        return False
    return True
