"""The command line of the main job."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from orchestrator.data.flags import add_data_dir, add_follow_links, add_max_atoms, add_max_bad
from orchestrator.data.formula_list import digest_of, read_formulas
from orchestrator.data.given_folds import add_division, division_of, fields_of, of_tensors
from orchestrator.grid.axes import Axis
from orchestrator.grid.config import AXES, GridConfig, strategy_names
from orchestrator.grid.handcrafted import Foreign, read_foreign
from orchestrator.grid.request import PRESETS, Options, build_config
from orchestrator.interface.errors import UsageError
from orchestrator.interface.flags import add_dry_run, add_run
from orchestrator.interface.job import STATUSES_OF_MODELS
from orchestrator.interface.parser import Parser, number, whole_number
from orchestrator.nodes.cards import GPUS
from orchestrator.training.flags import (
    add_again,
    add_machine,
    add_patience,
    add_recipe,
    take_worker,
)
from trainables.crystals.checks import MAX_ATOMS

EPILOG = """\
data sets (--tasks), any number of:
  NAME            a MatBench task: jdft2d phonons dielectric log_gvrh log_kvrh perovskites mp_gap
                  mp_e_form; read from --data-dir or the cache, else downloaded and checked
  ionic           computed ionic crystals that come with elemgrid
  FILE.json.gz    in MatBench's format
  FILE.csv[.gz]   with a column `cif`
  FILE.parquet    with a column `structure` (JSON) or `cif`
  FILE.xyz, .extxyz, .traj, .db   of ASE; columns are info or key_value_pairs, and `energy`
  FOLDER          with id_prop.csv and CIF or POSCAR files
  NAME=PATH       the same, called NAME in the results
  …:TARGET        names the target column

targets:
  numbers         a regression, in the unit of the column
  classes         a column of two words, of booleans, or of two numbers such as 0 and 1
  a spectrum      a column of lists of one length, as [0.5, 1.0, null] or a Parquet list
  …:GAP,ENERGY    several columns of numbers at once; a cell may be missing, but not all of a row
  …:SPIN@site     a column of lists with a number an atom, in the order of the structure's sites;
                  for backbones whose graphs keep every atom, as schnet_atoms
  …:EPS@dielectric, …:C@elastic, …:E@piezo
                  a column of tensors, as lists of 3 × 3, 6 × 6 (or 3 × 3 × 3 × 3) and 3 × 6 (or
                  3 × 3 × 3) numbers, in the axes of the structure; in others with @standard,
                  @conventional or @primitive behind: spglib's and pymatgen's standard cells

examples:
  elemgrid hybrid_grid --preset demo
  elemgrid hybrid_grid --tasks phonons --dims 16 --mixing H 0 L --run runs/phonons
  elemgrid hybrid_grid --preset paper --dry-run
  elemgrid hybrid_grid --tasks mine.csv:gap --folds 0 --address auto
  elemgrid hybrid_grid --tasks mine.parquet:c_voigt@elastic --backbones tensor --mixing H

what the models know, and how sure it is:
  elemgrid hybrid_grid --tasks phonons --mixing H 0 L --element-init normal zero
  elemgrid hybrid_grid --tasks phonons --handcrafted cgcnn92 elements mat2vec
  elemgrid hybrid_grid --tasks phonons --mixing H L --train-size 150 600 0
  elemgrid hybrid_grid --tasks ionic --mixing H 0 --leave-out none Ta O+S --shots 0 10
  elemgrid hybrid_grid --tasks phonons --backbones cogn --mixing H --inner-folds 8

more axes, in all combinations; and a search, which may draw numbers from ranges:
  elemgrid hybrid_grid --tasks phonons --lr 1e-3 3e-3 --layers 2 3 4 --seed 0 1
  elemgrid hybrid_grid --tasks phonons --strategy random --budget 20 \\
      --dims 8..64 --lr 1e-4..1e-2 --batch-size 16 32 64

The same command is always safe to run again: a model that is recorded is never trained again.
"""


ALSO = {"seed": ("--seeds",)}  # further spellings of an axis' flag; `transfer` has this one


def _parser() -> Parser:
    parser = Parser(
        prog="elemgrid hybrid_grid",
        description="Trains a grid of crystal networks with handcrafted, learned and mixed element"
        " vectors, and distils what they learned into tables of the elements.",
        epilog=EPILOG + STATUSES_OF_MODELS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_grid(parser)
    _add_training(parser)
    _add_data(parser)
    _add_plan(add_machine(parser))
    return parser


def _add_grid(parser: Parser) -> None:
    grid = parser.add_argument_group(
        "the grid (defaults are the thesis' unless a preset says else)"
    )
    grid.add_argument(
        "--preset",
        choices=PRESETS,
        help="demo: a small grid on `ionic`, minutes on a laptop; paper: 8 tasks × 5 folds × 2"
        " backbones × 4 dims × 7 mixings = 2240 models, recipe paper. Other flags override it",
    )
    for name, axis in AXES.items():
        if axis.part == "model":
            _add_axis(grid, name, axis)
    grid.add_argument(
        "--inner-folds",
        type=int,
        metavar="K",
        help="train K models of each configuration, in one array, of which each holds back another"
        " K-th of a fold's training part; `ensemble` takes them as one model that has learned from"
        " all of it; default: one model, which holds back a quarter",
    )
    grid.add_argument(
        "--strategy",
        choices=strategy_names(),
        help="grid (default): all combinations of all values; random: --budget of them, drawn from"
        " the seed, also from ranges of numbers; others are of installed packages",
    )
    grid.add_argument(
        "--budget",
        type=int,
        metavar="N",
        help="configurations that a search trains, each on all data sets, folds and seeds; a larger"
        " budget continues a smaller one (with --extend)",
    )


def _add_axis(group: argparse._ArgumentGroup, name: str, axis: Axis) -> None:
    group.add_argument(
        f"--{name.replace('_', '-')}",
        *ALSO.get(name, ()),
        nargs="+",
        type=_word(axis),
        choices=axis.choices and tuple(axis.choices),
        metavar=axis.metavar,
        help=axis.help,
    )


def _word(axis: Axis) -> Callable[[str], Any]:
    """A parser of one word: a number, or a range as text; what it may be, the axis decides."""

    def read(text: str) -> Any:
        if axis.ranges and ".." in text:
            return text
        try:
            return axis.kind(text)
        except ValueError:
            what = f"invalid {axis.kind.__name__} value: {text!r}"
            raise argparse.ArgumentTypeError(what) from None

    return read


def _add_training(parser: Parser) -> None:
    training = parser.add_argument_group("training")
    add_recipe(
        training,
        paper="the thesis' schedule",
        tuned="chosen on validation parts, better and faster",
        default=None,
    )
    add_patience(training, "default 500")
    for name, axis in AXES.items():
        if axis.part != "model":
            _add_axis(training, name, axis)


def _add_data(parser: Parser) -> None:
    data = parser.add_argument_group("data and results")
    add_run(data, "runs/hybrid_grid")
    add_data_dir(data)
    add_max_bad(data)
    add_follow_links(data)
    add_max_atoms(data, usual=str(MAX_ATOMS))
    data.add_argument(
        "--without",
        type=Path,
        metavar="FILE",
        help="formulas, one a line: no model learns from crystals of these compositions, so that"
        " the tables can be tested on them",
    )
    add_division(data)
    data.add_argument(
        "--select-on",
        choices=("validation", "test"),
        help="error that picks the best mixing; `test` follows the thesis literally, and leaks test"
        " data",
    )
    add_again(data)


def _add_plan(machine: argparse._ArgumentGroup) -> None:
    """Adds the flags for memory and for the plan."""
    machine.add_argument(
        "--memory-per-worker",
        type=number("more than 0", lambda value: value > 0),
        metavar="GIB",
        help="a data set that would take more in a worker is streamed from its shards instead, with"
        " the same results; default: half of a worker's share of its machine's memory",
    )
    add_dry_run(
        machine, "measure a few steps, and print what is done, time, memory and disk of the rest"
    )
    machine.add_argument(
        "--plan-gpus",
        type=whole_number(1),
        metavar="N",
        help="with --dry-run: also predict the grid on N GPUs that need not be here",
    )
    machine.add_argument(
        "--plan-gpu-model",
        choices=GPUS,
        type=str.lower,
        metavar="MODEL",
        help=f"which GPUs those are: {' '.join(GPUS)}",
    )


def parse(argv: Sequence[str]) -> Options:
    """Parses a command line.

    Raises:
        UsageError: one line that names the flag, what is wrong and what is allowed.
    """
    given = vars(_parser().parse_args(argv))
    fields = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in given.items()
        if name in GridConfig.model_fields and value is not None
    }
    for name in ("without", "groups", "split"):
        fields.pop(name, None)
    division = division_of(given["groups"], given["split"]) or of_tensors(fields.get("tasks", ()))
    if given["inner_folds"] is not None and division is not None and division.validates:
        raise UsageError(
            f"--inner-folds: {division.flag} says which rows validate; leave one of the two out"
        )
    fields |= fields_of(division)
    withheld = read_formulas(given["without"]) if given["without"] else frozenset()
    if withheld:
        fields["without"] = digest_of(withheld)
    tables: dict[str, Foreign] = {}
    if given["handcrafted"]:
        fields["handcrafted"], tables = read_foreign(given["handcrafted"])
    return Options(
        config=build_config(given["preset"], fields),
        tables=tables,
        withheld=withheld,
        division=division,
        run=given["run"],
        data_dir=given["data_dir"],
        follow_links=given["follow_links"],
        address=given["address"],
        worker=take_worker(given),
        dry_run=given["dry_run"],
        plan_gpus=_planned_gpus(given),
        extend=given["extend"],
        retry_failed=given["retry_failed"],
    )


def _planned_gpus(given: dict[str, Any]) -> tuple[str, int] | None:
    count, model = given["plan_gpus"], given["plan_gpu_model"]
    if count is None and model is None:
        return None
    flag = "--plan-gpus" if count is not None else "--plan-gpu-model"
    if not given["dry_run"]:
        raise UsageError(f"{flag} is for the plan of a grid: add --dry-run")
    if model is None:
        raise UsageError(f"--plan-gpus {count}: name the cards too, as --plan-gpu-model h200")
    return model, 1 if count is None else count
