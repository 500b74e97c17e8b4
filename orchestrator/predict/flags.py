"""The command line of `predict`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.data.flags import add_follow_links, add_max_atoms
from orchestrator.interface.errors import UsageError
from orchestrator.interface.flags import add_address
from orchestrator.interface.job import STATUSES
from orchestrator.interface.parser import Parser, number, whole_number
from trainables.crystals.slab_cell import LEAST_VACUUM

EPILOG = f"""\
structures, any number of:
  FILE.cif, POSCAR…, FILE.vasp, FILE.json     one crystal each
  FOLDER                                      its structure files, in the order of their names, or
                                              what its id_prop.csv lists
  TABLE.csv, TABLE.parquet, MATBENCH.json.gz  a crystal a row, as for training, but for the target
  FILE.xyz, FILE.extxyz, FILE.traj, FILE.db   of ASE, a crystal a frame or row

columns of the result, a row for each structure in the order given:
  id          that of the table, or the file as given; without an id the row from 1, and with
              the file before it if several are given: slabs/al.xyz:1
  prediction  mean of the models, in the unit of the target; for classes the probability of the
              second one
  std         its standard deviation; lower, upper: the interval (--level); empty for classes
  outside     in what the crystal is unlike the training data: an element that no training crystal
              had, fewer neighbours within the cutoff than any, far from all in the models' features
  reason      why there is no prediction
for tensors, instead of prediction, std, lower and upper, by the mean of the best configuration:
  xx … xy, c11 … c66, e11 … e36   the entries of the matrix, in the axes of the structure
  spread      mean Frobenius distance of the models to their mean
  stable      1 if a stiffness is positive definite, else 0
for slabs, by a run of contrast; one without {LEAST_VACUUM:g} Å of vacuum along c is refused:
  work_function          eV, by the head on the frozen embeddings; lower, upper: its interval
  regression             eV, mean of the regressions, if there are any
  nearest                id of the learned material whose profile lies nearest to the crystal, with
                         nearest_work_function (eV) and nearest_similarity (cosine)
for densities of states, by a run of dos, a column for each energy of its grid:
  density_-9.949875 …    mean of the networks, on the scale of the run: each training crystal's
                         maximum is 1; energies in eV from the Fermi level, or the file's unit
  deviation_-9.949875 …  of the networks of a fold; all means are over the folds
  at_fermi               the density at the Fermi level, with at_fermi_deviation; not of phonons

examples:
  elemgrid predict runs/hybrid_grid new/*.cif
  elemgrid predict runs/hybrid_grid candidates.csv --out predictions.parquet --members
  elemgrid predict runs/hybrid_grid candidates.csv --model best --level 0.9 --out predictions.csv
  elemgrid predict runs/contrast slabs/*.cif --out work_functions.csv
  elemgrid predict runs/dos new/*.cif --out densities.parquet
  elemgrid predict exported/ candidates.parquet --out predictions.csv --address auto

"""
SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """The parsed command line."""

    models: Path
    structures: tuple[str, ...]
    out: Path | None
    overwrite: bool
    task: str | None
    model: str
    level: float
    max_atoms: int | None
    members: bool
    follow_links: bool
    workers: int | None
    address: str | None


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that say which models of a run predict."""
    parser.add_argument("--task", metavar="NAME", help="data set of the run, if it has several")
    parser.add_argument(
        "--model",
        default="ensemble",
        metavar="ensemble|best|KEY",
        help="all models of the run, weighted on validation (default); those of the configuration"
        " with the least validation error; or one, by its key in the ledger",
    )


def _parser() -> Parser:
    parser = Parser(
        prog="elemgrid predict",
        description="Predicts new structures with the models of a run, as one ensemble with"
        " calibrated intervals.",
        epilog=EPILOG + STATUSES.replace("done,", "done, 1 no structure could be predicted,", 1),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "models",
        type=Path,
        metavar="RUN",
        help="run directory of fit, hybrid_grid, contrast or dos, or folder of export",
    )
    parser.add_argument("structures", nargs="+", metavar="STRUCTURES", help="see below")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="a .csv or .parquet; CSV on stdout unless given"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it is there")
    add_choice(parser)
    parser.add_argument(
        "--level",
        type=number("between 0 and 1", lambda value: 0 < value < 1),
        default=0.95,
        metavar="P",
        help="probability that an interval holds the target; default %(default)s",
    )
    parser.add_argument(
        "--members", action="store_true", help="add a column for each model, named by its key"
    )
    add_follow_links(parser)
    add_max_atoms(parser, usual="that of a grid, else 500")
    machine = parser.add_argument_group("machine")
    machine.add_argument(
        "--workers",
        type=whole_number(1),
        metavar="N",
        help="processes; default: one for a few hundred structures, else one a CPU",
    )
    add_address(machine)
    return parser


def parse(argv: Sequence[str]) -> PredictOptions:
    """Parses a command line; raises UsageError in one line."""
    given = vars(_parser().parse_args(argv))
    out = given["out"]
    if out is not None and out.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--out {out}: its suffix says the format; use {' or '.join(SUFFIXES)}")
    return PredictOptions(**given | {"structures": tuple(given["structures"])})
