"""The flags that say which data is read, and what of it is accepted."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from orchestrator.interface.parser import Distinct, share, whole_number
from trainables.crystals.registry import FOLDS


def add_data_dir(group: argparse._ActionsContainer) -> None:
    """Adds the folder in which named data sets are looked for."""
    group.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="folder with the files of MatBench's tasks"
    )


def add_follow_links(group: argparse._ActionsContainer) -> None:
    """Adds the permission to read structure files that are links."""
    group.add_argument(
        "--follow-links",
        action="store_true",
        help="structure files of a folder may be links to files elsewhere",
    )


def add_max_bad(
    group: argparse._ActionsContainer, rows: str = "crystals", *, listed: bool = True
) -> None:
    """Adds the limit on bad rows; whether the job lists them in `quarantine.csv`."""
    where = ", which quarantine.csv lists" if listed else ""
    group.add_argument(
        "--max-bad",
        type=share,
        metavar="X",
        help=f"largest accepted fraction of bad {rows}{where}; default 0.01, or 3"
        f" {rows} where that is more, but not above half",
    )


def add_max_atoms(
    group: argparse._ActionsContainer, *, default: int | None = None, usual: str = "%(default)s"
) -> None:
    """Adds the limit on the atoms of a cell; `usual` is the default in words."""
    group.add_argument(
        "--max-atoms",
        type=whole_number(1),
        default=default,
        metavar="N",
        help=f"largest number of atoms in a cell; default {usual}",
    )


def add_folds(group: argparse._ActionsContainer, what: str) -> None:
    """Adds the outer folds; `what` says what they are."""
    group.add_argument(
        "--folds",
        nargs="+",
        action=Distinct,
        type=whole_number(0, FOLDS - 1),
        default=tuple(range(FOLDS)),
        metavar="N",
        help=f"{what}; default 0 1 2 3 4",
    )


def first_of(names: Sequence[str]) -> str:
    """Which column is taken of the usual names, for the help."""
    *most, last = names
    return f"the first of {', '.join(most)} and {last}"
