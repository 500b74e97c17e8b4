"""The command line of `element_groups`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.interface.errors import UsageError
from orchestrator.interface.job import STATUSES
from orchestrator.interface.parser import Parser

EPILOG = """\
examples:
  python -m orchestrator.element_groups runs/hybrid_grid
  python -m orchestrator.element_groups runs/hybrid_grid --tasks phonons --mixings H L
  python -m orchestrator.element_groups runs/hybrid_grid --paper
  python -m orchestrator.element_groups runs/hybrid_grid --compositions steels=yield.csv
  elemgrid substitutes Fe --run runs/hybrid_grid

"""


@dataclass(frozen=True, kw_only=True)
class GroupOptions:
    """What the person asked for."""

    run: Path
    tasks: tuple[str, ...]  # none: those that the screening lets enter
    mixings: tuple[str, ...]  # none: all
    compositions: tuple[str, ...]
    skip_screening: bool
    paper: bool
    population: int
    generations: int
    seeds: int
    seed: int
    seconds: float
    draws: int
    counts: Path | None
    occurrences: Path | None
    permutations: int
    address: str | None
    dry_run: bool


def _parser() -> Parser:
    parser = Parser(
        prog="python -m orchestrator.element_groups",
        description="What a grid's trained models say about the elements: the geometry of their"
        " vectors, the clustering on which the models agree most, and groups of elements that may"
        " substitute each other.",
        epilog=EPILOG + STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory of hybrid_grid")
    models = parser.add_argument_group("which models")
    models.add_argument(
        "--tasks",
        nargs="+",
        default=[],
        metavar="TASK",
        help="of these data sets only; default: those whose property composition tells (screening)",
    )
    models.add_argument(
        "--mixings", nargs="+", default=[], metavar="γ", help="of these mixings only; default: all"
    )
    screening = parser.add_argument_group("screening by a random forest on compositions")
    screening.add_argument(
        "--compositions",
        nargs="+",
        default=[],
        metavar="[NAME=]FILE[:TARGET]",
        help="screen these formulas too: CSV with a column formula (or composition) and a target;"
        " a MatBench task is known by its name",
    )
    screening.add_argument(
        "--skip-screening", action="store_true", help="no forests; all data sets enter"
    )
    consensus = parser.add_argument_group("consensus")
    consensus.add_argument(
        "--paper",
        action="store_true",
        help="the thesis' genetic algorithm in place of the memetic one; it finds less",
    )
    consensus.add_argument(
        "--population", type=int, default=500, metavar="N", help="of --paper (500)"
    )
    consensus.add_argument(
        "--generations", type=int, default=2000, metavar="N", help="of --paper (2000)"
    )
    consensus.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="searches, which should agree (3)"
    )
    consensus.add_argument("--seed", type=int, default=0, help="of all random choices (0)")
    consensus.add_argument(
        "--seconds", type=float, default=60, help="at most for the proof of the optimum (60)"
    )
    consensus.add_argument(
        "--draws",
        type=int,
        default=100,
        metavar="N",
        help="of models, for the stability of each element's cluster (100)",
    )
    relations = parser.add_argument_group("comparison with other relations of the elements")
    relations.add_argument(
        "--counts",
        type=Path,
        metavar="FILE",
        help="counts of replacements, as element_scale takes them; default: the substitution"
        " probabilities that pymatgen ships",
    )
    relations.add_argument(
        "--occurrences", type=Path, metavar="FILE", help="CSV of symbol and number of crystals"
    )
    relations.add_argument(
        "--permutations", type=int, default=999, metavar="N", help="of the Mantel test (999)"
    )
    work = parser.add_argument_group("where and how")
    work.add_argument("--address", help="a running Ray cluster; without it, one for this run")
    work.add_argument("--dry-run", action="store_true", help="check the input, say what is in it")
    return parser


LEAST = {"population": 2, "generations": 1, "seeds": 1, "seed": 0, "draws": 0, "permutations": 1}


def parse(argv: Sequence[str] | None) -> GroupOptions:
    """Raises UsageError in one line."""
    given = vars(_parser().parse_args(argv))
    for flag, least in LEAST.items():
        if given[flag] < least:
            raise UsageError(f"--{flag} {given[flag]}: must be at least {least}")
    if not 0 < given["seconds"] < float("inf"):
        raise UsageError(f"--seconds {given['seconds']:g}: must be a positive number")
    if given["occurrences"] and not given["counts"]:
        raise UsageError("--occurrences goes with --counts; leave it out, or add --counts FILE")
    if given["skip_screening"] and given["compositions"]:
        raise UsageError("--compositions is for the screening; leave --skip-screening out")
    for name in ("tasks", "mixings", "compositions"):
        given[name] = tuple(given[name])
    return GroupOptions(**given)
