"""Print paired differences between the configurations of a run as Markdown, for docs/results.md.

python scripts/paired_table.py RUN --mixing H
python scripts/paired_table.py RUN --setting "element_init normal"
python scripts/paired_table.py RUN --dim 8

Each configuration is compared with the reference of its data set and backbone on the same folds,
seeds and inner folds: the one of its dimension with the mixing --mixing; or with its own mixing and
the setting --setting; or that differs from it in the dimension, --dim, alone. Differences are
averaged within each fold, whose intervals are those of analysis/paired.py; p is Holm's over all
rows of a backbone.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from analysis.leaderboard import CONFIGURATION
from analysis.paired import FIVE_FOLDS, Paired, holm, paired
from analysis.selection import done
from orchestrator.runs.finished_run import FinishedRun

REPEAT = ["fold", "seed", "inner_fold", "leave_out"]


def _differences(own: pd.DataFrame, other: pd.DataFrame, error: str) -> Paired:
    mine, theirs = (
        rows.fillna({"inner_fold": -1, "leave_out": ""}).set_index(REPEAT)[error]
        for rows in (own, other)
    )
    pairs = mine.sub(theirs).dropna().groupby("fold").mean()
    sizes = own["n_test"].sum() / (own["n_train"] + own["n_val"]).sum()
    return paired(pairs.to_numpy(), max(float(sizes), FIVE_FOLDS))


def _others(same: pd.DataFrame, own: pd.Series, reference: Mapping[str, str | int]) -> pd.DataFrame:
    """The models that one of a configuration is compared with."""
    wanted = own[["dim", "mixing"]].to_dict() | dict(reference)
    found = same[(same[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    if "dim" not in reference:
        # a mixing without learned vectors knows no setting of them
        return found
    # a width of the dimension is no setting, so that one width may have two names
    exact = found[found["setting"] == own["setting"]]
    return found if exact.empty and found["setting"].nunique() == 1 else exact


def _rows(
    models: pd.DataFrame, reference: Mapping[str, str | int]
) -> Iterator[tuple[str, list[str], Paired]]:
    """Backbone, first cells, and difference of the test error, of each configuration."""
    for (*_, backbone), same in models.groupby(list(CONFIGURATION[:-3])):
        for configuration, own in same.groupby(list(CONFIGURATION)):
            other = _others(same, own.iloc[0], reference)
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
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--mixing", help="mixing of the reference")
    kind.add_argument("--setting", help="setting of the reference, as in the ledger")
    kind.add_argument("--dim", type=int, help="dimension of the reference")
    parser.add_argument(
        "--elements", action="store_true", help="average over the elements that are held out"
    )
    options = parser.parse_args()
    given = {name: getattr(options, name) for name in ("mixing", "setting", "dim")}
    reference = {name: value for name, value in given.items() if value is not None}
    models = done(FinishedRun(options.run).ledger, "test_error")
    if options.elements:
        models = models.assign(condition="shots " + models["shots"].astype(int).astype(str))
    rows = list(_rows(models, reference))
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
    print("| " + " | ".join([*columns, "Δ test", "95 % interval", "p", "folds"]) + " |")
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
