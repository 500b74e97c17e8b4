"""The command line of `substitutes`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.interface.flags import add_count
from orchestrator.interface.job import STATUSES
from orchestrator.interface.parser import Parser


@dataclass(frozen=True, kw_only=True)
class SubstituteOptions:
    """The parsed command line."""

    symbol: str
    run: Path
    top: int


def parse(argv: Sequence[str]) -> SubstituteOptions:
    """Parses a command line; raises UsageError in one line."""
    parser = Parser(
        prog="elemgrid substitutes",
        description="Lists the elements that may replace an element: those of its group"
        " first, then those that most models cluster with it.",
        epilog=STATUSES,
    )
    parser.add_argument("symbol", metavar="SYMBOL", help="symbol of the element, such as Fe")
    parser.add_argument(
        "--run",
        type=Path,
        default=Path("runs/hybrid_grid"),
        metavar="DIR",
        help="run directory with the results of element_groups; default %(default)s",
    )
    add_count(parser, "--top", 12, "number of partners to list")
    return SubstituteOptions(**vars(parser.parse_args(argv)))
