"""Print paired differences between the configurations of a run as Markdown, for docs/results.md.

python scripts/paired_table.py RUN --mixing H
python scripts/paired_table.py RUN --setting "element_init normal"

Each configuration is compared with the reference of its data set, backbone and dimension on the
same folds, seeds and inner folds: the one with the mixing --mixing, or with its own mixing and the
setting --setting. Intervals are those of analysis/paired.py; p is Holm's over all rows of a
backbone.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from analysis.leaderboard import CONFIGURATION
from analysis.paired import Paired, holm, paired
from analysis.selection import done
from orchestrator.runs.finished_run import FinishedRun

REPEAT = ["fold", "seed", "inner_fold"]


def _differences(own: pd.DataFrame, other: pd.DataFrame, error: str) -> Paired:
    mine, theirs = (
        rows.fillna({"inner_fold": -1}).set_index(REPEAT)[error] for rows in (own, other)
    )
    pairs = mine.sub(theirs).dropna()
    sizes = own["n_test"].sum() / (own["n_train"] + own["n_val"]).sum()
    return paired(pairs.to_numpy(), float(sizes))


def _rows(
    models: pd.DataFrame, mixing: str | None, setting: str
) -> Iterator[tuple[str, list[str], Paired]]:
    """Backbone, first cells, and difference of the test error, of each configuration."""
    for (*_, backbone, _), same in models.groupby(list(CONFIGURATION[:-2])):
        for configuration, own in same.groupby(list(CONFIGURATION)):
            chosen = same["mixing"] == (mixing or own["mixing"].iloc[0])
            if not mixing:
                chosen &= same["setting"] == setting
            other = same[chosen]
            if other.empty or other["key"].isin(own["key"]).any():
                continue
            validation = _differences(own, other, "val_error")
            cells = [*map(str, configuration), f"{own['test_error'].mean():.4g}"]
            yield (
                str(backbone),
                [*cells, f"{validation.mean:+.3g}"],
                _differences(own, other, "test_error"),
            )


def main() -> None:
    """One row a configuration that has a reference."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory of hybrid_grid")
    parser.add_argument("--mixing", help="mixing of the reference")
    parser.add_argument("--setting", default="", help="setting of the reference, as in the ledger")
    options = parser.parse_args()
    models = done(FinishedRun(options.run).ledger, "test_error")
    rows = list(_rows(models, options.mixing, options.setting))
    columns = [
        "data set",
        "condition",
        "backbone",
        "dim",
        "mixing",
        "setting",
        "test",
        "Δ validation",
    ]
    print("| " + " | ".join([*columns, "Δ test", "95 % interval", "p", "pairs"]) + " |")
    print("|---|---|---|--:|---|---|--:|--:|--:|---|--:|--:|")
    for backbone in dict.fromkeys(name for name, _, _ in rows):
        found = [(cells, test) for name, cells, test in rows if name == backbone]
        adjusted = holm([test.p for _, test in found])
        for (cells, test), p in zip(found, adjusted, strict=True):
            interval = f"{test.low:+.3g} … {test.high:+.3g}"
            said = "–" if math.isnan(p) else f"{p:.2g}"
            last = [f"{test.mean:+.3g}", interval, said, str(test.pairs)]
            print("| " + " | ".join([*cells, *last]) + " |")


if __name__ == "__main__":
    main()
