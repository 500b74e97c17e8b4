"""The command line of `dos`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.data.flags import add_folds, add_max_atoms, add_max_bad, first_of
from orchestrator.interface.errors import UsageError
from orchestrator.interface.job import STATUSES_OF_MODELS
from orchestrator.interface.parser import Parser, number, positive, whole_number
from orchestrator.training.flags import (
    MAX_ATOMS,
    NetworkOptions,
    add_curve,
    add_machine,
    add_members,
    add_network,
    add_recipe,
    add_results,
    add_together,
    take_worker,
)
from trainables.crystals.sources.curves import ENERGIES, OF_CRYSTALS, OF_SITES

FEWEST_MEMBERS = 4
LOW, HIGH, SIGMA = -10.0, 10.0, 0.1  # eV, for electrons

EPILOG = """\
the file (--data): Parquet, a row a crystal
  poscar, cif or structure   the crystal
  energy_ev (--energies)     a list of energies, ascending, of any spacing; 0 is the Fermi level
  site_dos (--densities)     densities of all sites, one site after the other, on these energies
  dos (--densities)          or those of the whole crystal
  material_id                or id; else the row's number
or a JSON list of what as_dict() of pymatgen's CompleteDos or CompletePhononDos gives, with
material_id beside it; summed over spins and orbitals, energies relative to efermi

examples:
  elemgrid dos --data edos.parquet --run runs/dos --dry-run
  elemgrid dos --data edos.parquet --run runs/dos --workers 2
  elemgrid dos --data complete_dos.json --run runs/dos
  elemgrid dos --data phonons.parquet --phonons --energies frequency_thz \\
      --densities phdos --range 0 30 --sigma 0.5

The same command is always safe to run again: a model that is recorded is never trained again.
"""


@dataclass(frozen=True, kw_only=True)
class DosOptions(NetworkOptions):
    """The parsed command line."""

    data: Path
    energies: str | None
    densities: str | None
    phonons: bool
    range: tuple[float, float]
    points: int
    sigma: float
    folds: tuple[int, ...]
    members: int
    curve: bool


def _parser() -> Parser:
    parser = Parser(
        prog="elemgrid dos",
        description="Learns densities of states of crystals, of electrons or phonons: curves are"
        " broadened onto one grid of energies and scaled to the maximum 1; an ensemble of networks"
        " predicts each fold, beside the mean spectrum and a forest on compositions.",
        epilog=EPILOG + STATUSES_OF_MODELS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_data(parser)
    _add_training(parser)
    add_results(parser, "runs/dos")
    add_together(add_machine(parser))
    return parser


def _add_data(parser: Parser) -> None:
    data = parser.add_argument_group("the densities")
    data.add_argument("--data", type=Path, required=True, metavar="FILE", help="see below")
    for flag, what, usual in (
        ("--energies", "of the energies", ENERGIES),
        ("--densities", "of the densities", (*OF_SITES, *OF_CRYSTALS)),
    ):
        data.add_argument(flag, metavar="COLUMN", help=f"{what}; default: {first_of(usual)}")
    data.add_argument(
        "--phonons",
        action="store_true",
        help="energies are those of phonons: there is no Fermi level; --range and --sigma are asked"
        " for, in the unit of the file",
    )
    data.add_argument(
        "--range",
        nargs=2,
        type=number("within ±1e9", lambda value: abs(value) <= 1e9),
        metavar=("LOW", "HIGH"),
        help="energies that are learned; default -10 10 (eV)",
    )
    data.add_argument(
        "--points",
        type=whole_number(2, 10_000),
        default=400,
        metavar="N",
        help="of the grid; default %(default)s",
    )
    data.add_argument(
        "--sigma",
        type=positive,
        metavar="X",
        help="width of the Gaussian by which curves are broadened; default 0.1 (eV)",
    )
    add_max_bad(data)
    add_max_atoms(data, default=MAX_ATOMS)


def _add_training(parser: Parser) -> None:
    training = parser.add_argument_group("training")
    add_folds(training, "a crystal is tested in the fold that the SHA-256 of its id says")
    add_members(
        training,
        5,
        "networks of an ensemble; each holds back another N-th of what its fold learns from, by"
        " which its epoch is chosen",
        least=FEWEST_MEMBERS,
    )
    add_curve(training, "a quarter and half of what each fold learns from")
    add_recipe(
        training,
        paper="the SE(3)-transformer as its code has it",
        tuned="an equivariant network of our own, chosen on parts held back",
    )
    add_network(
        training,
        seed="of weights, batches and parts held back",
        width="of the network; default by recipe (the paper's is 259)",
    )


def parse(argv: Sequence[str]) -> DosOptions:
    """Parses a command line; raises UsageError in one line."""
    given = vars(_parser().parse_args(argv))
    worker = take_worker(given)
    for flag, usual in (("range", (LOW, HIGH)), ("sigma", SIGMA)):
        if given[flag] is None:
            if given["phonons"]:
                raise UsageError(f"--phonons: give --{flag} too, in the unit of the energies")
            given[flag] = usual
    low, high = given["range"] = tuple(given["range"])
    if not low < high:
        raise UsageError(f"--range {low:g} {high:g}: is empty; give the lower energy first")
    return DosOptions(**given, worker=worker)
