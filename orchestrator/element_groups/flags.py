"""The command line of `element_groups`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.interface.errors import UsageError
from orchestrator.interface.flags import add_address, add_count, add_dry_run
from orchestrator.interface.job import STATUSES
from orchestrator.interface.parser import Parser, positive
from trainables.models.mixing import Mixing

ALL = "all"
EPILOG = """\
examples:
  elemgrid element_groups runs/hybrid_grid
  elemgrid element_groups runs/hybrid_grid --tasks phonons --mixings H L
  elemgrid element_groups runs/hybrid_grid --paper
  elemgrid element_groups runs/hybrid_grid --compositions steels=yield.csv
  elemgrid substitutes Fe --run runs/hybrid_grid

"""


@dataclass(frozen=True, kw_only=True)
class GroupOptions:
    """The parsed command line."""

    run: Path
    tasks: tuple[str, ...]  # none: those selected by the screening
    mixings: tuple[str, ...]  # none: H and L, or all if there is neither; ALL: all
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
        prog="elemgrid element_groups",
        description="What a grid's trained models say about the elements: the geometry of their"
        " vectors, the clustering on which the models agree most, and groups of elements that may"
        " substitute each other.",
        epilog=EPILOG + STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory of hybrid_grid")
    _add_models(parser)
    _add_consensus(parser)
    _add_relations(parser)
    work = parser.add_argument_group("where and how")
    add_address(work)
    add_dry_run(work)
    return parser


def _add_models(parser: Parser) -> None:
    """Adds the flags that select the models."""
    models = parser.add_argument_group("which models")
    models.add_argument(
        "--tasks",
        nargs="+",
        default=(),
        metavar="TASK",
        help="models of these data sets only; default: those that pass the screening",
    )
    models.add_argument(
        "--mixings",
        nargs="+",
        type=_mixing,
        default=(),
        metavar="γ",
        help="models of these mixings only, or all; default: H and L, or all where there is"
        " neither, since mixed vectors are made of those of H and L",
    )
    screening = parser.add_argument_group("screening by a random forest on compositions")
    screening.add_argument(
        "--compositions",
        nargs="+",
        default=(),
        metavar="[NAME=]FILE[:TARGET]",
        help="screen these formulas too: CSV with a column formula (or composition) and a target,"
        " or a MatBench task by its name",
    )
    screening.add_argument(
        "--skip-screening", action="store_true", help="no random forests; use all data sets"
    )


def _mixing(text: str) -> str:
    """The label of a mixing, or `ALL`."""
    if text == ALL:
        return ALL
    try:
        return Mixing.parse(text).label
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _add_consensus(parser: Parser) -> None:
    consensus = parser.add_argument_group("consensus")
    consensus.add_argument(
        "--paper",
        action="store_true",
        help="the thesis' genetic algorithm in place of the memetic one; it finds less",
    )
    add_count(consensus, "--population", 500, "population size of --paper", least=2)
    add_count(consensus, "--generations", 2000, "generations of --paper")
    add_count(consensus, "--seeds", 3, "number of searches, which should agree")
    add_count(consensus, "--seed", 0, "seed of all random choices", least=0)
    consensus.add_argument(
        "--seconds",
        type=positive,
        default=60,
        help="time limit of the proof of optimality in seconds; default %(default)s",
    )
    add_count(
        consensus,
        "--draws",
        100,
        "resamplings of the models, for the stability of each element's cluster",
        least=0,
    )


def _add_relations(parser: Parser) -> None:
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
    add_count(relations, "--permutations", 999, "permutations of the Mantel test")


def parse(argv: Sequence[str]) -> GroupOptions:
    """Parses a command line; raises UsageError in one line."""
    given = vars(_parser().parse_args(argv))
    if given["occurrences"] and not given["counts"]:
        raise UsageError("--occurrences goes with --counts; leave it out, or add --counts FILE")
    if given["skip_screening"] and given["compositions"]:
        raise UsageError("--compositions is for the screening; leave --skip-screening out")
    if ALL in given["mixings"] and len(given["mixings"]) > 1:
        raise UsageError("--mixings all goes with no other; leave the others out")
    for name in ("tasks", "mixings", "compositions"):
        given[name] = tuple(given[name])
    return GroupOptions(**given)
