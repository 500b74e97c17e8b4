"""The command line of `contrast`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.data.flags import add_max_atoms, add_max_bad, first_of
from orchestrator.interface.errors import UsageError
from orchestrator.interface.job import STATUSES_OF_MODELS
from orchestrator.interface.parser import Parser, number, whole_number
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
from trainables.crystals.sources.potential_cells import FERMI, POTENTIAL, VACUUM, Z
from trainables.models.options import ContrastOptions

if TYPE_CHECKING:  # `--help` does without what it needs
    from trainables.representations.pairs import Rule

HEADS = ContrastOptions.heads  # of all recipes
GENERATED, MATERIALS = "generated", 2_000
PUBLISHED_SEED = 42  # of the published split
MASKS = (1e-6, 10.0)  # eV
SPANS = (4.0, 1000.0)  # Å

EPILOG = """\
the file (--data), a row a material: a slab or monolayer in a cell with vacuum along c
  Parquet      poscar, cif or structure; potential_ev (--potential), a list: the planar average of
               the potential energy of an electron along c, in eV, of evenly spaced points;
               fermi_ev (--fermi), a number; vacuum_ev (--vacuum), a number or two (below and
               above), else read from the flat region; z_angstrom (--z), a list, else the whole
               cell;
               material_id or id, else the row's number
  FILE.db      of ASE, with the same among a row's data and key-value pairs, as MatHub-2D has them
  generated    slabs that are made here, with the potential of a model of screened charges: no
               measured data, but physics that is known (docs/contrast.md)

examples:
  elemgrid contrast --data generated --run runs/contrast --dry-run
  elemgrid contrast --data generated --run runs/contrast --curve
  elemgrid contrast --data monolayers.db --split random --recipe paper --run runs/mathub
  elemgrid contrast --data slabs.parquet --profiles potentials.parquet --workers 2

The same command is always safe to run again: a model that is recorded is never trained again.
"""


@dataclass(frozen=True, kw_only=True)
class ContrastJobOptions(NetworkOptions):
    """The parsed command line; `data` is None for generated materials."""

    data: Path | None
    profiles: Path | None
    potential: str | None
    fermi: str | None
    vacuum: str | None
    z: str | None
    materials: int | None
    perovskites: Path | None
    points: int
    span: float
    split: Rule
    split_seed: int
    members: int
    curve: bool
    mask: float | None

    @property
    def source(self) -> str:
        """What the data is, as the user named it."""
        return GENERATED if self.data is None else str(self.data)


def _parser() -> Parser:
    parser = Parser(
        prog="elemgrid contrast",
        description="Trains an encoder of crystals and one of planar-averaged potentials so that"
        " what belongs together lies together; finds each by the other on materials held out, and"
        " reads the work function from the crystal alone, beside baselines that know its"
        " composition.",
        epilog=EPILOG + STATUSES_OF_MODELS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_data(parser)
    _add_generated(parser)
    _add_training(parser)
    add_results(parser, "runs/contrast")
    one = ", which trains several models side by side instead"
    add_together(add_machine(parser), one=one)
    return parser


def _add_data(parser: Parser) -> None:
    data = parser.add_argument_group("the materials")
    data.add_argument(
        "--data", required=True, metavar="FILE|generated", help="a file (see below), or `generated`"
    )
    data.add_argument(
        "--profiles",
        type=Path,
        metavar="FILE",
        help="Parquet that has the potentials of --data, by the same ids",
    )
    for flag, what, usual in (
        ("--potential", "of the potentials", POTENTIAL),
        ("--fermi", "of the Fermi levels", FERMI),
        ("--vacuum", "of the vacuum levels", VACUUM),
        ("--z", "of the places of the points, in Å", Z),
    ):
        data.add_argument(flag, metavar="COLUMN", help=f"{what}; default: {first_of(usual)}")
    data.add_argument(
        "--points",
        type=whole_number(32, 10_000),
        default=128,
        metavar="N",
        help="of the grid on which potentials are learned; default %(default)s",
    )
    data.add_argument(
        "--span",
        type=number(
            "from {:g} to {:g}".format(*SPANS), lambda value: SPANS[0] <= value <= SPANS[1]
        ),
        default=32.0,
        metavar="X",
        help="Å that the grid spans, with the slab in its middle; default %(default)g",
    )
    add_max_bad(data)
    add_max_atoms(data, default=MAX_ATOMS)


def _add_generated(parser: Parser) -> None:
    made = parser.add_argument_group("generated materials (--data generated)")
    made.add_argument(
        "--materials",
        type=whole_number(1, 100_000),
        metavar="N",
        help=f"how many; default {MATERIALS}",
    )
    made.add_argument(
        "--perovskites",
        type=Path,
        metavar="FILE",
        help="slabs of these bulk crystals too: Castelli's perovskites, a CSV with columns"
        " material_id and cif",
    )


def _add_split(training: argparse._ArgumentGroup) -> None:
    training.add_argument(
        "--split",
        choices=("formula", "random"),
        default="formula",
        help="formula (default): the SHA-256 of the reduced formula says which materials are"
        " tested, so that no formula is on both sides; random: the published way, 80, 10 and 10 %%"
        " of all materials by --split-seed",
    )
    training.add_argument(
        "--split-seed",
        type=whole_number(0, 2**31 - 1),
        metavar="N",
        help=f"of --split random, and of the parts of --curve; default {PUBLISHED_SEED}",
    )


def _add_training(parser: Parser) -> None:
    training = parser.add_argument_group("training")
    _add_split(training)
    add_members(
        training,
        4,
        "models of an ensemble, which differ in their seeds; as many regressions are trained beside"
        " them",
    )
    add_curve(training, "50, 200 and 1 000 materials, one model of each kind")
    training.add_argument(
        "--mask",
        type=number(
            "from {:g} to {:g}".format(*MASKS), lambda value: MASKS[0] <= value <= MASKS[1]
        ),
        metavar="X",
        help="eV; two materials of a batch whose profiles differ by less, root mean square, are no"
        " negatives of each other; default: all others are negatives",
    )
    add_recipe(
        training,
        paper="widths and 1 000 epochs as published",
        tuned="a narrower network and fewer epochs, chosen on the validation part of generated"
        " materials",
    )
    add_network(
        training,
        seed="of weights and batches",
        width=f"of the crystal encoder, a multiple of {HEADS}; default by recipe (the paper's is"
        " 384)",
    )


def parse(argv: Sequence[str]) -> ContrastJobOptions:
    """Parses a command line; raises UsageError in one line."""
    given = vars(_parser().parse_args(argv))
    worker = take_worker(given)
    generated = given["data"] == GENERATED
    given["data"] = None if generated else Path(given["data"])
    of_files = ("profiles", "potential", "fermi", "vacuum", "z")
    for name in of_files if generated else ("materials", "perovskites"):
        if given[name] is not None:
            what = "generated materials have no file" if generated else "is of --data generated"
            raise UsageError(f"--{name}: {what}; leave it out")
    if given["width"] is not None and given["width"] % HEADS:
        raise UsageError(
            f"--width {given['width']}: is no multiple of {HEADS}, the heads of attention"
        )
    if given["split_seed"] is None:
        given["split_seed"] = PUBLISHED_SEED
    elif given["split"] == "formula" and not given["curve"]:
        raise UsageError(
            "--split-seed: has no effect without --split random or --curve; leave it out"
        )
    return ContrastJobOptions(**given, worker=worker)
