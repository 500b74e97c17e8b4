"""The command line of `element_scale`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from analysis.elements import NUMBERS
from analysis.scale.gaps import ETA, Repulsion
from analysis.scale.replaceability import Kind
from orchestrator.interface.errors import UsageError
from orchestrator.interface.job import STATUSES
from orchestrator.interface.parser import Parser

LAMBDAS = (1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0, 64.0, 100.0)
MDS, MOD_PETTI = "mds", "mod_petti"
VARIANCE = "variance"

EPILOG = """\
where the replaceabilities come from, one of:
  (nothing)          the substitution probabilities of Hautier et al., which pymatgen ships
  --counts FILE      how often elements replace each other: a CSV with symbols in its first row and
                     column, or a bare matrix whose row and column Z are element Z (0 is padding)
  --mine DATA        counted in a data set of crystals, as --tasks of hybrid_grid takes them

examples:
  python -m orchestrator.element_scale --run runs/scale
  python -m orchestrator.element_scale --mine phonons --data-dir data --run runs/phonon_scale
  python -m orchestrator.element_scale --counts counts.csv --occurrences crystals.csv \\
      --order mod_petti --pick 6

"""


@dataclass(frozen=True, kw_only=True)
class ScaleOptions:
    """What the person asked for."""

    run: Path
    counts: Path | None
    occurrences: Path | None
    mine: str | None
    data_dir: Path | None
    max_bad: float
    order: str
    leave_out: tuple[str, ...]
    mds_on: Kind
    restarts: int
    seed: int
    lambdas: tuple[float, ...]
    eta: float
    repulsion: Repulsion
    refine: int
    optuna: int
    pick: float | None  # λ; None for the variance rule
    address: str | None
    dry_run: bool


def _parser() -> Parser:
    parser = Parser(
        prog="python -m orchestrator.element_scale",
        description="Places the elements on one axis: those that replace each other in known"
        " crystals close together, the others apart.",
        epilog=EPILOG + STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data = parser.add_argument_group("the relations")
    data.add_argument("--counts", type=Path, metavar="FILE", help="counts of replacements")
    data.add_argument(
        "--occurrences",
        type=Path,
        metavar="FILE",
        help="CSV of symbol and number of crystals with it, for --counts; without it the"
        " replacements of each element count as its crystals",
    )
    data.add_argument("--mine", metavar="DATA", help="count replacements in these crystals")
    data.add_argument("--data-dir", type=Path, metavar="DIR", help="look for MatBench files here")
    data.add_argument(
        "--max-bad", type=float, default=0.01, help="share of bad crystals to put up with (0.01)"
    )
    data.add_argument(
        "--leave-out", nargs="+", default=[], metavar="SYMBOL", help="elements to do without"
    )
    order = parser.add_argument_group("the order")
    order.add_argument(
        "--order",
        default=MDS,
        metavar="mds|mod_petti|FILE",
        help="mds (default): found here; mod_petti: the modified Pettifor order; or a file of"
        " symbols, one a line or in a column `symbol`",
    )
    order.add_argument(
        "--mds-on",
        choices=get_args(Kind),
        default="share",
        help="what mds keeps: share (default), 1 - S / max S; product, the thesis' chemical"
        " distances; logarithm, of these",
    )
    order.add_argument(
        "--restarts", type=int, default=20000, metavar="N", help="of the search (20000)"
    )
    order.add_argument("--seed", type=int, default=42, help="of its random starts (42)")
    gaps = parser.add_argument_group("the gaps")
    gaps.add_argument(
        "--lambdas",
        type=float,
        nargs="+",
        default=LAMBDAS,
        metavar="λ",
        help="weights of the repulsion; default " + " ".join(f"{value:g}" for value in LAMBDAS),
    )
    gaps.add_argument("--eta", type=float, default=ETA, help=f"weight of the length ({ETA:g})")
    gaps.add_argument(
        "--repulsion",
        choices=("all", "adjacent"),
        default="all",
        help="between all pairs (default, eq. 3.3), or between neighbours only",
    )
    gaps.add_argument(
        "--refine", type=int, default=32, metavar="N", help="at most N more λ where the front bends"
    )
    gaps.add_argument(
        "--optuna", type=int, default=0, metavar="N", help="N trials over λ and η beside it (0)"
    )
    gaps.add_argument(
        "--pick",
        default=VARIANCE,
        metavar="variance|λ",
        help="variance (default): the least even scale on the front's hull; or a λ",
    )
    work = parser.add_argument_group("where and how")
    work.add_argument("--run", type=Path, default=Path("runs/scale"), metavar="DIR")
    work.add_argument("--address", help="a running Ray cluster; without it, one for this run")
    work.add_argument("--dry-run", action="store_true", help="check the input, say what is in it")
    return parser


def parse(argv: Sequence[str] | None) -> ScaleOptions:
    """Raises UsageError in one line."""
    given = vars(_parser().parse_args(argv))
    if given["counts"] and given["mine"]:
        raise UsageError("--counts and --mine: give one of them; --help says what each is for")
    if given["occurrences"] and not given["counts"]:
        raise UsageError("--occurrences goes with --counts; leave it out, or add --counts FILE")
    for flag, least in (("restarts", 1), ("refine", 0), ("optuna", 0), ("seed", 0)):
        if given[flag] < least:
            raise UsageError(f"--{flag} {given[flag]}: must be at least {least}")
    if not 0 <= given["max_bad"] <= 1:
        raise UsageError(f"--max-bad {given['max_bad']:g}: must be a share between 0 and 1")
    given["pick"] = None if given["pick"] == VARIANCE else _number("--pick", given["pick"])
    positive = {"--eta": [given["eta"]], "--lambdas": given["lambdas"]}
    if given["pick"] is not None:
        positive["--pick"] = [given["pick"]]
    for flag, values in positive.items():
        for value in values:
            if not 0 < value < float("inf"):
                raise UsageError(f"{flag} {value:g}: must be a positive number")
    for symbol in given["leave_out"]:
        if symbol not in NUMBERS:
            raise UsageError(f"--leave-out {symbol}: no such element; symbols are H to Og")
    given["leave_out"] = tuple(given["leave_out"])
    given["lambdas"] = tuple(
        sorted({*given["lambdas"], *([given["pick"]] if given["pick"] else [])})
    )
    return ScaleOptions(**given)


def _number(flag: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{flag} {text}: neither `{VARIANCE}` nor a number") from None
