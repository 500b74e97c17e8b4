"""Flags that mean the same in every job; cheap to import, so that `--help` is fast."""

from __future__ import annotations

import argparse
from pathlib import Path

from orchestrator.interface.parser import whole_number


def add_run(group: argparse._ActionsContainer, default: str) -> None:
    """Adds the run directory."""
    group.add_argument(
        "--run",
        type=Path,
        default=Path(default),
        metavar="DIR",
        help="run directory; default %(default)s",
    )


def add_address(group: argparse._ActionsContainer) -> None:
    """Adds the cluster that does the work."""
    group.add_argument(
        "--address",
        metavar="ADDR",
        help="Ray cluster (`auto` for the one that runs); default: this machine alone",
    )


def add_dry_run(
    group: argparse._ActionsContainer, what: str = "check the input and describe it"
) -> None:
    """Adds the flag under which nothing is written; `what` says what is done."""
    group.add_argument("--dry-run", action="store_true", help=f"{what}; write nothing")


def add_count(
    group: argparse._ActionsContainer, flag: str, default: int, what: str, *, least: int = 1
) -> None:
    """Adds a whole number of at least `least`; `what` says what it counts."""
    group.add_argument(
        flag,
        type=whole_number(least),
        default=default,
        metavar="N",
        help=f"{what}; default %(default)s",
    )
