"""The command line of `transfer`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.data.flags import add_data_dir, add_folds, add_max_bad
from orchestrator.data.given_folds import Division, add_division, division_of
from orchestrator.interface.flags import add_dry_run
from orchestrator.interface.job import STATUSES_OF_MODELS
from orchestrator.interface.parser import Distinct, Parser, number, whole_number
from orchestrator.nodes.worker import Worker
from orchestrator.training.flags import (
    add_epochs,
    add_machine,
    add_patience,
    add_recipe,
    add_results,
    take_worker,
)
from trainables.models.recipe import RecipeName

EPILOG = """\
tables (--tables), any number of:
  FILE            element,0,1,… and 118 rows H…Og, as hybrid_grid writes them into tables/
  NAME=FILE       the same, called NAME in the results; {fold} in FILE is the fold's number
  NAME            one that comes with this package (docs/tables.md): Mat2Vec-H-32, and S, L, 64, or
                  -plain; Element-Scale; or with ElementEmbeddings: mat2vec skipatom megnet16 …

data sets (--tasks), any number of:
  NAME            a MatBench task of compositions: steels expt_gap expt_is_metal glass; read from
                  --data-dir (matbench_NAME.json.gz or NAME.csv) or the cache, else downloaded and
                  checked
  FILE            a CSV with a column `formula`, or MatBench's .json.gz; two values or words make
                  classes
  NAME=FILE       the same, called NAME, with what MatBench knows of a task of this name
  …:TARGET        names the target column

examples:
  elemgrid transfer --tasks steels --tables mat2vec skipatom
  elemgrid transfer --tasks gaps.csv:gap --tables mat2vec \\
      runs/hybrid_grid/tables/Mat2Vec-H-64.csv --plan --detect 3%

The same command is always safe to run again: a model that is recorded is never trained again.
"""


@dataclass(frozen=True, kw_only=True)
class TransferOptions:
    """The parsed command line."""

    tables: tuple[str, ...]
    tasks: tuple[str, ...]
    data_dir: Path | None
    max_bad: float | None
    division: Division | None  # replaces the official folds
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    recipe: RecipeName
    epochs: int | None
    patience: int | None
    reference: str | None
    detect: float
    noise: float | None
    plan: bool
    controls: bool
    trainable: bool
    strict: bool
    write_formulas: Path | None
    run: Path
    extend: bool
    retry_failed: bool
    address: str | None
    worker: Worker
    dry_run: bool

    @property
    def rescales(self) -> bool:
        """Whether tables are scaled to unit size; the published CrabNet takes them as they are."""
        return self.recipe != "paper"


def _parser() -> Parser:
    parser = Parser(
        prog="elemgrid transfer",
        description="Puts tables of element vectors into CrabNet, which knows a material by its"
        " formula alone, and compares them on the official folds: each fold's difference from a"
        " reference, with what it establishes and what it does not.",
        epilog=EPILOG + STATUSES_OF_MODELS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_comparison(parser)
    _add_power(parser)
    _add_fairness(parser)
    _add_training(parser)
    add_results(parser, "runs/transfer")
    add_dry_run(add_machine(parser), "check the input and say what would be trained")
    return parser


def _add_comparison(parser: Parser) -> None:
    what = parser.add_argument_group("what is compared")
    what.add_argument(
        "--tables",
        nargs="+",
        action=Distinct,
        default=("mat2vec",),
        metavar="TABLE",
        help="see below; default mat2vec",
    )
    what.add_argument(
        "--tasks",
        nargs="+",
        action=Distinct,
        required=True,
        metavar="DATA",
        help="data sets, see below",
    )
    add_data_dir(what)
    add_max_bad(what, "rows")
    add_division(what)
    add_folds(what, "official folds")
    what.add_argument(
        "--seeds",
        nargs="+",
        action=Distinct,
        type=whole_number(0, 2**31 - 1),
        default=(0, 1, 2),
        metavar="N",
        help="seeds of weights, batches, validation parts and random controls; the score of a fold"
        " is their mean; default 0 1 2",
    )
    what.add_argument(
        "--reference",
        metavar="TABLE",
        help="name of the table with which the others are compared; default: the first",
    )


def _add_power(parser: Parser) -> None:
    power = parser.add_argument_group("what it can establish")
    power.add_argument(
        "--detect",
        type=_part,
        default=0.05,
        metavar="X%",
        help="difference that matters, as a share of the reference's error (1 - area for classes);"
        " a comparison that shows none, and would miss one of this size more than one time in"
        " five, is called underpowered; default 5%%",
    )
    power.add_argument(
        "--plan",
        action="store_true",
        help="print what this design can establish and how many seeds --detect takes, and stop;"
        " from the results in --run where it has some of the same data sets and reference",
    )
    power.add_argument(
        "--noise",
        type=_part,
        metavar="X%",
        help="for --plan without such results: the deviation between seeds of a model's error on a"
        " fold, as a share of it; default 12.8%% for steels, 4.1%% for others (measured on steels"
        " and expt_gap with recipe tuned)",
    )


_share = number("a share above 0 and below 1, as in 5% or 0.05", lambda value: 0 < value < 1)


def _part(text: str) -> float:
    """Parses 5% or 0.05."""
    bare = text.strip().removesuffix("%")
    if bare == text.strip():
        return _share(bare)
    return _share(str(number("a percentage", math.isfinite)(bare) / 100))


def _add_fairness(parser: Parser) -> None:
    fair = parser.add_argument_group("what keeps it fair")
    fair.add_argument(
        "--no-controls",
        dest="controls",
        action="store_false",
        help="leave out one-hot vectors, random ones as wide as each table, the first table with"
        " its rows permuted, and beside tables of a grid the descriptor that its models start from"
        " and untrained projections of it; what is random is drawn anew for each seed",
    )
    fair.add_argument(
        "--strict",
        action="store_true",
        help="a table distilled by a grid is distilled again for each test fold, from those of the"
        " grid's models that have learned none of the fold's formulas; refused, with the commands"
        " that make such models, where there are none",
    )
    fair.add_argument(
        "--write-formulas",
        type=Path,
        metavar="DIR",
        help="write the formulas of each test fold into DIR and stop; hybrid_grid --without FILE"
        " trains without them, and {fold} in a table's path takes each fold's own table",
    )


def _add_training(parser: Parser) -> None:
    training = parser.add_argument_group("training")
    add_recipe(
        training,
        paper="as published, 500 epochs at most with an early stop, a quarter of the rows that are"
        " not for the test validates, tables are taken as they are",
        tuned="AdamW and a cosine, 40 epochs, a tenth validates, tables are given unit size",
    )
    add_epochs(training)
    add_patience(training, "recipe paper validates every 20th epoch only")
    training.add_argument(
        "--trainable", action="store_true", help="let the tables learn too; default: frozen"
    )


def parse(argv: Sequence[str]) -> TransferOptions:
    """Parses a command line; raises UsageError in one line."""
    given = vars(_parser().parse_args(argv))
    worker = take_worker(given)
    division = division_of(given.pop("groups"), given.pop("split"))
    return TransferOptions(**given, division=division, worker=worker)
