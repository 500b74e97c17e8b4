"""The command line of `transfer`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.grid.flags import add_machine, worker_of
from orchestrator.interface.errors import UsageError
from orchestrator.interface.job import STATUSES_OF_MODELS
from orchestrator.interface.parser import Parser
from orchestrator.training.worker import Worker
from trainables.crystals.registry import FOLDS
from trainables.training.recipe import RecipeName

EPILOG = """\
tables (--tables), any number of:
  FILE            element,0,1,… and 118 rows H…Og, as hybrid_grid writes them into tables/
  NAME=FILE       the same, called NAME in the results; {fold} in FILE is the fold's number
  NAME            one that ElementEmbeddings brings: mat2vec skipatom megnet16 magpie_sc oliynyk …

data sets (--tasks), any number of:
  NAME            a MatBench task of compositions: steels expt_gap expt_is_metal glass; read from
                  --data-dir: matbench_NAME.json.gz or NAME.csv
  FILE            a CSV with a column `formula`, or MatBench's .json.gz; two values make classes
  NAME=FILE       the same, called NAME, with what MatBench knows of a task of this name
  …:TARGET        names the target column

examples:
  python -m orchestrator.transfer --tasks steels=steels_yield.csv --tables mat2vec skipatom
  python -m orchestrator.transfer --tasks gaps.csv:gap --tables mat2vec \\
      runs/hybrid_grid/tables/Mat2Vec-H-64.csv --seeds 0 1 2

The same command is always safe to run again: a model that is recorded is never trained again.
"""


@dataclass(frozen=True, kw_only=True)
class TransferOptions:
    """What the person asked for."""

    tables: tuple[str, ...]
    tasks: tuple[str, ...]
    data_dir: Path | None
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    recipe: RecipeName
    epochs: int | None
    patience: int | None
    reference: str | None
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


def _parser() -> Parser:
    parser = Parser(
        prog="python -m orchestrator.transfer",
        description="Puts tables of element vectors into CrabNet, which knows a material by its"
        " formula alone, and compares them on the official folds: each fold's difference from a"
        " reference, with what it establishes and what it does not.",
        epilog=EPILOG + STATUSES_OF_MODELS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_argument_group("what is compared")
    what.add_argument("--tables", nargs="+", default=["mat2vec"], metavar="TABLE", help="see below")
    what.add_argument(
        "--tasks", nargs="+", required=True, metavar="DATA", help="data sets, see below"
    )
    what.add_argument("--data-dir", type=Path, help="folder with the files of MatBench's tasks")
    what.add_argument(
        "--folds", nargs="+", type=int, default=list(range(FOLDS)), help="default 0 1 2 3 4"
    )
    what.add_argument(
        "--seeds",
        nargs="+",
        type=int,
        default=[0],
        help="of weights, batches and validation parts; a fold's score is their mean; default 0",
    )
    what.add_argument(
        "--reference",
        metavar="TABLE",
        help="by its name, which the others are compared with; default: the first",
    )
    what.add_argument(
        "--no-controls",
        dest="controls",
        action="store_false",
        help="leave out one-hot vectors, random ones, and the first table with its rows permuted",
    )
    what.add_argument(
        "--strict",
        action="store_true",
        help="a table distilled by a grid is distilled again for each test fold, from those of the"
        " grid's models that have seen none of the fold's formulas",
    )
    what.add_argument(
        "--write-formulas",
        type=Path,
        metavar="DIR",
        help="write the formulas of each test fold into DIR and stop; hybrid_grid --without FILE"
        " trains without them, and {fold} in a table's path takes each fold's own table",
    )
    training = parser.add_argument_group("training")
    training.add_argument(
        "--recipe",
        choices=("paper", "tuned"),
        default="tuned",
        help="paper: as published, 500 epochs; tuned (default): AdamW and a cosine, 40 epochs",
    )
    training.add_argument("--epochs", type=int, help="at most; default by recipe")
    training.add_argument("--patience", type=int, help="epochs without improvement before a stop")
    training.add_argument(
        "--trainable", action="store_true", help="let the tables learn too; default: frozen"
    )
    results = parser.add_argument_group("results")
    results.add_argument(
        "--run", type=Path, default=Path("runs/transfer"), help="directory; default %(default)s"
    )
    results.add_argument(
        "--extend",
        action="store_true",
        help="let a directory that holds another comparison be this one's; models that both have"
        " are not trained again",
    )
    results.add_argument("--retry-failed", action="store_true", help="train failed models again")
    machine = add_machine(parser)
    machine.add_argument(
        "--dry-run", action="store_true", help="check the input, say what would be trained"
    )
    return parser


def parse(argv: Sequence[str] | None = None) -> TransferOptions:
    """Raises UsageError in one line."""
    given = vars(_parser().parse_args(argv))
    worker = worker_of(given)
    del given["cpus_per_worker"], given["gpus_per_worker"]
    for flag in ("tables", "tasks", "folds", "seeds"):
        twice = {value for value in given[flag] if given[flag].count(value) > 1}
        if twice:
            raise UsageError(f"--{flag}: given twice: {', '.join(map(str, sorted(twice)))}")
        given[flag] = tuple(given[flag])
    for fold in given["folds"]:
        if not 0 <= fold < FOLDS:
            raise UsageError(f"--folds: {fold} is wrong, the official folds are 0 to {FOLDS - 1}")
    for seed in given["seeds"]:
        if not 0 <= seed < 2**31:
            raise UsageError(f"--seeds: {seed} is wrong, a seed lies between 0 and 2147483647")
    for flag in ("epochs", "patience"):
        if given[flag] is not None and given[flag] < 1:
            raise UsageError(f"--{flag} {given[flag]}: must be at least 1")
    return TransferOptions(**given, worker=worker)
