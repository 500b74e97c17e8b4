"""Print tables of elements in CrabNet beside trees on compositions, for docs/results.md.

    python scripts/composition_baselines.py --tasks wf=FILE.csv:TARGET --groups formula-hash \
        --tables mat2vec --run RUN …

It takes the command line of a finished `elemgrid transfer`, whose scores it reads. The baselines
learn from a fold's training and validation part: the mean of the targets, and ExtraTrees on means
and deviations of the elements' properties. Differences of MAEs are paired by fold, with intervals
and p as of analysis/paired.py (p: Holm's); means over the seeds of a fold.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from analysis.densities import features, forest
from analysis.paired import FIVE_FOLDS, holm, paired
from orchestrator.transfer import flags
from orchestrator.transfer.inputs import open_data
from trainables.compositions.dataset import Compositions
from trainables.crystals.symbols import MAX_Z
from trainables.elements.handcrafted import ELEMENTS, table_of

FOREST, MEAN = "ExtraTrees on composition", "mean of the targets"


def shares(data: Compositions) -> np.ndarray:
    """[B, 119] share of each element among the atoms, by atomic number."""
    found = np.zeros((len(data), MAX_Z + 1))
    found[data.owner, data.z] = data.fraction
    return found


def baselines(data: Compositions, fold: int) -> dict[str, float]:
    """MAEs on the test part of a fold."""
    test = data.test_rows(fold)
    learned = np.setdiff1d(np.arange(len(data)), test)
    seen, target = features(shares(data), table_of(ELEMENTS)), data.target
    trees = forest(seen[learned], target[learned][:, None], seen[test], 0)
    said = {FOREST: trees[:, 0], MEAN: target[learned].mean()}
    return {name: float(np.abs(target[test] - one).mean()) for name, one in said.items()}


def errors(options: flags.TransferOptions, data: Compositions) -> pd.DataFrame:
    """MAEs: a row a fold, a column a table or a baseline."""
    scores = pd.read_parquet(options.run / "transfer.parquet")
    own = scores[(scores["task"] == data.name) & (scores["metric"] == "mae")]
    tables = own.pivot_table(index="fold", columns="table", values="value")
    beside = pd.DataFrame({fold: baselines(data, fold) for fold in tables.index}).T
    return tables.join(beside)


def print_differences(found: pd.DataFrame) -> None:
    """One row a method: its MAE, and how far it lies from the forest."""
    others = [name for name in found if name != FOREST]
    apart = {name: paired(found[name] - found[FOREST], FIVE_FOLDS) for name in others}
    p = dict(zip(others, holm([one.p for one in apart.values()]), strict=True))
    print("| | MAE | minus the trees, 95 % interval | p |")
    print("|---|--:|---|--:|")
    for name in found.mean().sort_values().index:
        if name == FOREST:
            print(f"| {name} | {found[name].mean():.4f} | – | – |")
            continue
        one = apart[name]
        print(
            f"| {name} | {found[name].mean():.4f} |"
            f" {one.mean:+.4f} ({one.low:+.4f} … {one.high:+.4f}) | {p[name]:.2g} |"
        )


def main() -> None:
    """A table a data set of numbers."""
    options = flags.parse(sys.argv[1:])
    for data in open_data(options).values():
        if not data.classes:
            found = errors(options, data)
            print(f"\n{data.name}, {len(found)} folds\n")
            print_differences(found)


if __name__ == "__main__":
    main()
