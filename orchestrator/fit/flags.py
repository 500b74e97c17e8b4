"""The command line of `fit`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.interface.job import STATUSES_OF_MODELS
from orchestrator.interface.parser import Distinct, Parser, number, whole_number
from orchestrator.nodes.worker import Worker
from orchestrator.training.flags import add_machine, worker_of
from trainables.crystals.registry import FOLDS

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
    parser.add_argument(
        "--run", type=Path, default=Path("runs/fit"), metavar="DIR", help="default runs/fit"
    )
    parser.add_argument(
        "--minutes",
        type=number("more than 0", lambda value: 0 < value < 1e5),
        default=30.0,
        metavar="N",
        help="of this machine, all together; default %(default)g",
    )
    parser.add_argument(
        "--folds",
        nargs="+",
        type=whole_number(0, FOLDS - 1),
        action=Distinct,
        default=tuple(range(FOLDS)),
        metavar="N",
        help="folds, of which each tests another fifth of the crystals; default: all five",
    )
    parser.add_argument("--seed", type=whole_number(0), default=0, metavar="N", help="default 0")
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="folder with the files of MatBench's tasks"
    )
    parser.add_argument(
        "--max-bad",
        type=number("a share between 0 and 1", lambda value: 0 <= value <= 1),
        metavar="X",
        help="largest accepted fraction of bad crystals, which quarantine.csv lists",
    )
    parser.add_argument(
        "--follow-links",
        action="store_true",
        help="structure files of a folder may be links to files elsewhere",
    )
    machine = add_machine(parser)
    machine.add_argument(
        "--dry-run",
        action="store_true",
        help="say which crystals are bad and what would be trained; write nothing",
    )
    return parser


def parse(argv: Sequence[str]) -> FitOptions:
    """Parses a command line; raises UsageError in one line."""
    given = vars(_parser().parse_args(argv))
    worker = worker_of(given)
    del given["cpus_per_worker"], given["gpus_per_worker"]
    return FitOptions(**given | {"worker": worker, "folds": tuple(given["folds"])})
