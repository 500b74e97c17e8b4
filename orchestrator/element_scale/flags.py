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
from orchestrator.data.flags import add_data_dir, add_follow_links, add_max_bad
from orchestrator.interface.errors import UsageError
from orchestrator.interface.flags import add_address, add_count, add_dry_run, add_run
from orchestrator.interface.job import STATUSES
from orchestrator.interface.parser import Parser, positive

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
  elemgrid element_scale --run runs/scale
  elemgrid element_scale --mine phonons --data-dir data --run runs/phonon_scale
  elemgrid element_scale --counts counts.csv --occurrences crystals.csv \\
      --order mod_petti --pick 6

"""


@dataclass(frozen=True, kw_only=True)
class ScaleOptions:
    """The parsed command line."""

    run: Path
    counts: Path | None
    occurrences: Path | None
    mine: str | None
    data_dir: Path | None
    max_bad: float | None
    follow_links: bool
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
        prog="elemgrid element_scale",
        description="Places the elements on one axis: those that replace each other in known"
        " crystals close together, the others apart.",
        epilog=EPILOG + STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_relations(parser)
    _add_order(parser)
    _add_gaps(parser)
    work = parser.add_argument_group("where and how")
    add_run(work, "runs/scale")
    add_address(work)
    add_dry_run(work)
    return parser


def _add_relations(parser: Parser) -> None:
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
    add_data_dir(data)
    add_max_bad(data, listed=False)
    add_follow_links(data)
    data.add_argument(
        "--leave-out",
        nargs="+",
        type=_element,
        default=(),
        metavar="SYMBOL",
        help="elements to leave out",
    )


def _add_order(parser: Parser) -> None:
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
    add_count(order, "--restarts", 20000, "random starts of the search")
    add_count(order, "--seed", 42, "seed of the random starts", least=0)


def _add_gaps(parser: Parser) -> None:
    gaps = parser.add_argument_group("the gaps")
    gaps.add_argument(
        "--lambdas",
        type=positive,
        nargs="+",
        default=LAMBDAS,
        metavar="λ",
        help="weights of the repulsion; default " + " ".join(f"{value:g}" for value in LAMBDAS),
    )
    gaps.add_argument(
        "--eta", type=positive, default=ETA, help=f"weight of the total length; default {ETA:g}"
    )
    gaps.add_argument(
        "--repulsion",
        choices=("all", "adjacent"),
        default="all",
        help="between all pairs (default, eq. 3.3), or between neighbours only",
    )
    add_count(gaps, "--refine", 32, "at most N more values of λ where the front bends", least=0)
    add_count(gaps, "--optuna", 0, "also N Optuna trials over λ and η", least=0)
    gaps.add_argument(
        "--pick",
        type=_rule,
        metavar="variance|λ",
        help="variance (default): the least even scale on the front's hull; or a λ",
    )


def parse(argv: Sequence[str]) -> ScaleOptions:
    """Parses a command line; raises UsageError in one line."""
    given = vars(_parser().parse_args(argv))
    if given["counts"] and given["mine"]:
        raise UsageError("--counts and --mine: give one of them; --help says what each is for")
    if given["occurrences"] and not given["counts"]:
        raise UsageError("--occurrences goes with --counts; leave it out, or add --counts FILE")
    picked = () if given["pick"] is None else (given["pick"],)
    given["lambdas"] = tuple(sorted({*given["lambdas"], *picked}))
    given["leave_out"] = tuple(given["leave_out"])
    return ScaleOptions(**given)


def _rule(text: str) -> float | None:
    """λ, or None for the variance rule."""
    if text == VARIANCE:
        return None
    try:
        float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither `{VARIANCE}` nor a number") from None
    return positive(text)


def _element(text: str) -> str:
    if text not in NUMBERS:
        raise argparse.ArgumentTypeError(f"{text} is no element; symbols are H to Og")
    return text
