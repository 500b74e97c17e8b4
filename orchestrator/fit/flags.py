"""The command line of `fit`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.data.flags import add_data_dir, add_folds, add_follow_links, add_max_bad
from orchestrator.interface.flags import add_count, add_dry_run, add_run
from orchestrator.interface.job import STATUSES_OF_MODELS
from orchestrator.interface.parser import Parser, number
from orchestrator.nodes.worker import Worker
from orchestrator.training.flags import add_machine, take_worker

EPILOG = """\
What is trained is chosen by the number of crystals and the minutes: coGN, then with a learned
residual of the element vectors, then MEGNet beside it, then further seeds, as many as there is
time for; each fold's training part is divided, and each model holds back one part of it.

examples:
  elemgrid fit my_crystals/ --run runs/mine
  elemgrid fit crystals.csv:gap --minutes 10 --run runs/gap
  elemgrid fit phonons --data-dir DIR --folds 0 --run runs/phonons --dry-run

"""


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """The parsed command line."""

    structures: str
    run: Path
    minutes: float
    folds: tuple[int, ...]
    seed: int
    data_dir: Path | None
    max_bad: float | None
    follow_links: bool
    address: str | None
    worker: Worker
    dry_run: bool


def _parser() -> Parser:
    parser = Parser(
        prog="elemgrid fit",
        description="From crystals with a number each to an ensemble with calibrated intervals,"
        " within some minutes of this machine; then `elemgrid predict` takes new crystals.",
        epilog=EPILOG + STATUSES_OF_MODELS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "structures",
        metavar="STRUCTURES",
        help="a data set as of --tasks of hybrid_grid: a folder with id_prop.csv, a .csv, a"
        " .parquet, an .xyz, .traj or .db of ASE, a MatBench file or task; PATH:TARGET names the"
        " column",
    )
    add_run(parser, "runs/fit")
    parser.add_argument(
        "--minutes",
        type=number("more than 0", lambda value: 0 < value < 1e5),
        default=30.0,
        metavar="N",
        help="of this machine, all together; default %(default)g",
    )
    add_folds(parser, "folds, of which each tests another fifth of the crystals")
    add_count(
        parser, "--seed", 0, "of weights, batches and parts; further seeds follow it", least=0
    )
    add_data_dir(parser)
    add_max_bad(parser)
    add_follow_links(parser)
    add_dry_run(add_machine(parser), "say which crystals are bad and what would be trained")
    return parser


def parse(argv: Sequence[str]) -> FitOptions:
    """Parses a command line; raises UsageError in one line."""
    given = vars(_parser().parse_args(argv))
    worker = take_worker(given)
    return FitOptions(**given, worker=worker)
