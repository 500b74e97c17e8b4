"""The command line of `doctor`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.interface.parser import Parser


@dataclass(frozen=True, kw_only=True)
class DoctorOptions:
    """The parsed command line."""

    run: Path
    address: str | None
    cluster: tuple[Path, ...]


def _parser() -> Parser:
    parser = Parser(
        prog="elemgrid doctor",
        description="Looks at this machine, at cluster files and at the nodes of a cluster:"
        " software, disk, memory, GPUs, tokens, open doors, and whether all nodes reach the run's"
        " directory.",
        epilog="exit status: 0 nothing is bad, 1 something is, 2 wrong usage, or no cluster,"
        " 130 interrupted",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--run",
        type=Path,
        default=Path("runs/new"),
        metavar="RUN",
        help="run directory of a planned job; default: a new one, %(default)s",
    )
    parser.add_argument("--address", help="a Ray cluster, every node of which is checked")
    parser.add_argument(
        "--cluster",
        nargs="+",
        type=Path,
        default=(),
        metavar="FILE",
        help="configuration files for `ray up`",
    )
    return parser


def parse(argv: Sequence[str]) -> DoctorOptions:
    """Parses a command line; raises UsageError in one line."""
    given = vars(_parser().parse_args(argv))
    given["cluster"] = tuple(given["cluster"])
    return DoctorOptions(**given)
