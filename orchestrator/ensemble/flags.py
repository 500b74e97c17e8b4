"""The command line of `ensemble`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.interface.flags import add_count, add_dry_run
from orchestrator.interface.job import STATUSES
from orchestrator.interface.parser import Parser

EPILOG = """\
examples:
  elemgrid ensemble runs/hybrid_grid
  elemgrid ensemble runs/hybrid_grid --tasks phonons --backbones megnet
  elemgrid ensemble runs/hybrid_grid --published leaderboard.json
  elemgrid ensemble runs/hybrid_grid --authors "A. Name, B. Name"

"""


@dataclass(frozen=True, kw_only=True)
class EnsembleOptions:
    """The parsed command line."""

    run: Path
    tasks: tuple[str, ...]  # none: all
    backbones: tuple[str, ...]  # none: all
    authors: str
    algorithm: str
    seed: int
    published: Path | None
    dry_run: bool


def _parser() -> Parser:
    parser = Parser(
        prog="elemgrid ensemble",
        description="Combines the models of each fold of a grid into one: members and weights are"
        " chosen on the validation part, the spread is calibrated there, and what has all five"
        " folds of a MatBench task is written as the leaderboard takes it. The models of a grid"
        " with --inner-folds validate on all that their fold learns from: each crystal is"
        " predicted by the model that held it back.",
        epilog=EPILOG + STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory of hybrid_grid")
    for flag, what in (("tasks", "data sets"), ("backbones", "backbones")):
        parser.add_argument(
            f"--{flag}", nargs="+", default=[], help=f"models of these {what} only; default: all"
        )
    parser.add_argument(
        "--authors", default="", metavar="NAMES", help="authors for info.json of the submission"
    )
    parser.add_argument(
        "--algorithm",
        default="elemgrid ensemble",
        metavar="NAME",
        help="its name on the leaderboard; default %(default)s",
    )
    add_count(
        parser, "--seed", 0, "seed of the cross-validation within the validation part", least=0
    )
    parser.add_argument(
        "--published",
        type=Path,
        metavar="FILE",
        help='published scores of each official fold, as {"scores": {"matbench_phonons":'
        ' {"alignn": [29.3, …]}}}: differences from them are reported, fold by fold',
    )
    add_dry_run(parser)
    return parser


def parse(argv: Sequence[str]) -> EnsembleOptions:
    """Parses a command line; raises UsageError in one line."""
    given = vars(_parser().parse_args(argv))
    for name in ("tasks", "backbones"):
        given[name] = tuple(given[name])
    return EnsembleOptions(**given)
