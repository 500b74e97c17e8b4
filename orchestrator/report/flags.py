"""The command line of `report`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.interface.job import STATUSES
from orchestrator.interface.parser import Parser


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """The parsed command line."""

    run: Path


def parse(argv: Sequence[str]) -> ReportOptions:
    """Parses a command line; raises UsageError in one line."""
    parser = Parser(
        prog="elemgrid report",
        description="Writes a run's report.html again.",
        epilog=STATUSES,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory of a job")
    return ReportOptions(**vars(parser.parse_args(argv)))
