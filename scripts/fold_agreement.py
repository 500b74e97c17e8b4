"""Print how well the distances between elements agree from fold to fold, for docs/results.md.

python scripts/fold_agreement.py RUN --counts FILE.dat --occurrences FILE.csv

Of each configuration, and of its models of all data sets together: Spearman's correlation, over the
pairs of elements, of the cosine distances of one model with those of a model of another fold, and
of the mean distances of two folds' models, as mean and range over the pairs; and that of the mean
of all its models with how readily elements replace each other in crystals (Mantel test). Models
that learned from all crystals of their training part count; controls are untrained.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import chain, combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from analysis import cosine, mantel
from analysis.selection import done
from orchestrator.data.replaceability import read_replaceability
from orchestrator.element_groups.files import MIXED
from orchestrator.element_groups.relations import Relation, controls, of_known, of_replaceability
from orchestrator.grid.handcrafted import usual_table
from orchestrator.runs.finished_run import FinishedRun

SAME = ["backbone", "dim", "mixing", "setting"]


def _vectors(run: FinishedRun) -> dict[str, cosine.Model]:
    """Atomic numbers and mixed vectors of each model, by key."""
    found = {}
    for row in pq.read_table(run.embeddings).to_pylist():
        if row["channel"] == MIXED:
            vectors = np.array(row["values"]).reshape(-1, row["dim"])
            found[row["key"]] = (np.array(row["numbers"]), vectors)
    return found


def _relation(models: list[cosine.Model]) -> Relation:
    """Mean distances of the elements that all models have, two by two."""
    mean = cosine.accumulate(models).mean()
    numbers = np.flatnonzero(np.isfinite(np.diagonal(mean)))
    return of_known("", numbers, mean[np.ix_(numbers, numbers)])


def _compared(one: Relation, other: Relation, permutations: int) -> mantel.Mantel:
    common = np.intersect1d(one.numbers, other.numbers)
    return mantel.compare(one.of(common), other.of(common), permutations)


def _between(folds: list[list[Relation]]) -> str:
    """Mean correlation of the relations of different folds, and the range."""
    found = [
        _compared(one, other, 0).correlation
        for first, second in combinations(folds, 2)
        for one, other in product(first, second)
    ]
    return f"{np.mean(found):.2f} ({min(found):.2f} … {max(found):.2f})" if found else "–"


def _rows(
    models: pd.DataFrame, vectors: dict[str, cosine.Model], icsd: Relation
) -> Iterator[list[str]]:
    every = models.assign(task="all data sets") if models["task"].nunique() > 1 else models[:0]
    for (task, *same), own in pd.concat([models, every]).groupby(["task", *SAME], sort=False):
        folds = [[vectors[key] for key in rows["key"]] for _, rows in own.groupby("fold")]
        single = _between([[_relation([model]) for model in fold] for fold in folds])
        means = _between([[_relation(fold)] for fold in folds])
        found = _compared(_relation([*chain(*folds)]), icsd, mantel.PERMUTATIONS)
        against = [f"{found.correlation:.2f}", f"{found.p:.2g}", str(found.elements)]
        yield [task, *map(str, same), str(len(own)), single, means, *against]


def main() -> None:
    """One row a configuration."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory of hybrid_grid")
    parser.add_argument(
        "--counts", type=Path, required=True, help="of replacements, as element_scale takes them"
    )
    parser.add_argument("--occurrences", type=Path, help="crystals with each element")
    parser.add_argument(
        "--condition", default="", help='of the models, as "train size 150"; default: none'
    )
    options = parser.parse_args()
    run = FinishedRun(options.run)
    models = done(run.ledger, "test_error")
    models = models[models["condition"] == options.condition]
    icsd = of_replaceability(read_replaceability(options.counts, options.occurrences))
    columns = [
        "data set",
        *SAME,
        "models",
        "single models",
        "means of folds",
        "replaceability",
        "p",
        "elements",
    ]
    print("| " + " | ".join(columns) + " |")
    print("|---|---|--:|---|---|--:|---|---|--:|--:|--:|")
    vectors = _vectors(run)
    for cells in _rows(models, vectors, icsd):
        print("| " + " | ".join(cells) + " |")
    seen = _relation([vectors[key] for key in models["key"]]).numbers
    _, table = usual_table(run)
    for control in controls(sorted(models["dim"].unique().tolist()), 0, table):
        own = Relation("", known := np.intersect1d(control.numbers, seen), control.of(known))
        found = _compared(own, icsd, mantel.PERMUTATIONS)
        numbers = f"{found.correlation:.2f} | {found.p:.2g} | {found.elements}"
        print(f"| control: {control.name} | – | – | – | – | – | – | – | {numbers} |")


if __name__ == "__main__":
    main()
