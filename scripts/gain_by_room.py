"""Print where equivariance gains: on crystals that leave it room, and on flat ones, as Markdown.

    python scripts/gain_by_room.py RUN --data FILE

RUN is a grid with `--l-max 0 2` (or 1, 3) of one data set, FILE that data set. In a flat crystal no
site allows a feature of l = 1 or l = 2, so that both networks compute functions of the same kind:
what differs there is chance, or what else was learned. Differences are paired by crystal and
mixing, averaged within each fold; intervals are those of analysis/paired.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from analysis.paired import FIVE_FOLDS, paired
from analysis.selection import done
from orchestrator.runs.finished_run import FinishedRun
from trainables.crystals.sources import ANY_COLUMN, open_source
from trainables.representations.equivariance_room import flat, site_graphs

PAIR = ["fold", "seed", "dim", "mixing", "id"]


def flat_ones(path: Path) -> pd.Series:
    """Whether each crystal is flat, by its id."""
    found: dict[str, bool] = {}
    for graphs, ids, _ in site_graphs(open_source(path, ANY_COLUMN).entries()):
        found |= dict(zip(ids, flat(graphs).tolist(), strict=True))
    return pd.Series(found, name="flat")


def errors(run: FinishedRun, order: int) -> pd.Series:
    """Absolute test errors of the models of one l_max, by `PAIR`."""
    models = done(run.ledger, "test_error")
    models = models[models["l_max"] == order]
    tested = run.test_predictions(list(models["key"]))
    tested["error"] = (tested["prediction"] - tested["target"]).abs()
    joined = tested.merge(models[["key", *PAIR[:-1]]], on="key")
    return joined.set_index(PAIR)["error"]


def main() -> None:
    """A row for all crystals, for those with room, and for flat ones."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory of hybrid_grid")
    parser.add_argument("--data", type=Path, required=True, help="its data set")
    parser.add_argument("--l-max", type=int, default=2, help="compared with 0; default 2")
    options = parser.parse_args()
    run = FinishedRun(options.run)
    invariant, other = (errors(run, order) for order in (0, options.l_max))
    both = pd.DataFrame({"invariant": invariant, "gain": other - invariant}).dropna().reset_index()
    both = both.merge(flat_ones(options.data), left_on="id", right_index=True)
    print("| crystals | number | error at l = 0 | Δ | 95 % interval | p |")
    print("|---|--:|--:|--:|---|--:|")
    for name, rows in (
        ("all", both),
        ("with room", both[~both["flat"]]),
        ("flat", both[both["flat"]]),
    ):
        test = paired(rows.groupby("fold")["gain"].mean().to_numpy(), FIVE_FOLDS)
        number = rows["id"].nunique()
        cells = f"{number} | {rows['invariant'].mean():.2f} | {test.mean:+.2f}"
        print(f"| {name} | {cells} | {test.low:+.2f} … {test.high:+.2f} | {test.p:.2g} |")


if __name__ == "__main__":
    main()
