"""Lists the elements that may replace an element, according to a run's groups.

elemgrid substitutes Fe --run runs/hybrid_grid
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from analysis.elements import NUMBERS
from analysis.substitution.groups import fit, ions
from orchestrator.element_groups.files import FinishedGroups
from orchestrator.interface.errors import UsageError
from orchestrator.interface.job import OK
from orchestrator.runs import layout
from orchestrator.runs.finished_files import OutdatedError
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.ledger import LEDGER
from orchestrator.substitutes.flags import SubstituteOptions

ORDER = {"free": 0, "limited": 1, "hardly": 2, "unknown": 3, "other sign": 4}


def start(options: SubstituteOptions) -> int:
    """Prints an element's partners."""
    print(describe(options.run, options.symbol, options.top))
    return OK


def describe(run: Path, symbol: str, top: int) -> str:
    """The partners of an element as a table.

    Raises:
        UsageError: there is no such element, or the run has no groups, or none for this element.
    """
    if symbol not in NUMBERS:
        known = next((name for name in NUMBERS if name.lower() == symbol.lower()), None)
        hint = f"did you mean {known}?" if known else "symbols are H to Og"
        raise UsageError(f"{symbol}: no such element; {hint}")
    groups = FinishedGroups(run)
    if not groups.exists:
        raise UsageError(f"{run}: no groups here; run element_groups {run} first")
    if (run / layout.LEDGER).is_file():
        try:
            groups.demand_made_from(LEDGER, FinishedRun(run).digest)
        except OutdatedError as error:
            print(f"warning: {error}", file=sys.stderr)
    own = groups.groups.set_index("symbol")
    if symbol not in own.index:
        raise UsageError(f"{symbol}: in none of the models of {run}")
    listed = partners(groups, symbol).head(top)
    radius = own.loc[symbol, "radius"]
    size = f"radius {radius:.2f} Å" if pd.notna(radius) else "no known ionic radius"
    head = f"{symbol}: group {own.loc[symbol, 'subgroup']}, {size}, sign {own.loc[symbol, 'sign']}"
    if listed.empty:
        return f"{head}; no model has another element beside it"
    shown = listed.to_string(index=False, na_rep="–", float_format=lambda value: f"{value:.2f}")
    return f"{head}\n{shown}"


def partners(groups: FinishedGroups, symbol: str) -> pd.DataFrame:
    """Columns element, group, agreement (share of models that cluster both), models, radius (Å),
    difference (of radii, to this element's), fit (Goldschmidt); best first."""
    pairs, table = groups.partners, groups.groups.set_index("symbol")
    near = pairs[(pairs["a"] == symbol) | (pairs["b"] == symbol)]
    ion, known = ions()[NUMBERS[symbol]], ions()
    rows = []
    for pair in near.itertuples():
        other = pair.b if pair.a == symbol else pair.a
        theirs = known[NUMBERS[other]]
        difference = (
            f"{100 * (theirs.radius / ion.radius - 1):+.0f} %"
            if ion.radius and theirs.radius
            else None
        )
        rows.append(
            {
                "element": other,
                "group": table.loc[other, "subgroup"],
                "agreement": pair.together / pair.models,
                "models": pair.models,
                "radius": theirs.radius,
                "difference": difference,
                "fit": fit(ion, theirs),
            }
        )
    frame = pd.DataFrame(rows)
    if frame.empty:
        return frame
    same = frame["group"] == table.loc[symbol, "subgroup"]
    keys = pd.DataFrame(
        {"same": ~same, "less": -frame["agreement"], "fit": frame["fit"].map(ORDER)}
    )
    return frame.loc[keys.sort_values(["same", "less", "fit"], kind="stable").index]
