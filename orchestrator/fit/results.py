"""What a fitted ensemble is worth: its error, what more data would bring, the weak elements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.doubling import slope
from analysis.metrics import metrics_of, name_errors
from analysis.paired import FIVE_FOLDS, paired
from analysis.selection import done
from orchestrator.data.featurise import any_graphs_of
from orchestrator.ensemble.files import FinishedEnsemble
from orchestrator.interface.errors import UsageError
from orchestrator.runs import sums
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.ledger import LEDGER
from trainables.crystals.symbols import symbol
from trainables.representations import shards
from trainables.representations.dataset import element_matrix

LEAST = 10  # test crystals with an element, of which something is said
WEAK = 5  # elements that are named


def curve_of(run: Path) -> list[dict[str, Any]]:
    """Mean test error of a run's single models by fold and size.

    Returns:
        fold, size (as asked for; 0 for all), crystals (in the training parts), error.
    """
    models = done(FinishedRun(run).ledger, "test_error")
    means = models.groupby(["train_size", "fold"])[["n_train", "test_error"]].mean()
    rows = means.reset_index().sort_values(["n_train", "fold"])
    return [
        {
            "fold": int(row.fold),
            "size": int(row.train_size),
            "crystals": float(row.n_train),
            "error": float(row.test_error),
        }
        for row in rows.itertuples()
    ]


def results_of(run: FinishedRun, curve: list[dict[str, Any]]) -> dict[str, Any]:
    """The content of `fit.json` that follows from the models."""
    task = str(run.done["task"].iloc[0])
    folds = FinishedEnsemble(run.folder).folds
    error = paired(folds["test"].to_numpy(), FIVE_FOLDS)
    found = slope(pd.DataFrame(curve))
    elements = elements_of(run, task)
    weak = elements.sort_values("ratio", ascending=False).head(WEAK)
    return {
        "task": task,
        "kind": run.kind_of(task),
        "unit": run.manifest["datasets"][task].get("unit"),
        "metric": name_errors(metrics_of(run.done).values()),
        "crystals": int(run.manifest["datasets"][task].get("crystals", 0)),
        "models": len(run.done),
        "error": {"mean": error.mean, "low": _finite(error.low), "high": _finite(error.high)},
        "trivial": float(run.done["dummy_error"].mean()),
        "curve": curve,
        "double": None
        if found is None
        else {
            "mean": error.mean * found.factor,
            "low": _finite(error.mean * found.low),
            "high": _finite(error.mean * found.high),
        },
        "elements": elements.to_dict("records"),
        "weak": weak[weak["ratio"] > 1].to_dict("records"),
        sums.MADE_FROM: {LEDGER: run.digest},
    }


def elements_of(run: FinishedRun, task: str) -> pd.DataFrame:
    """By element: test crystals that have it, their mean error, and its ratio to that of all.

    Elements in fewer than `LEAST` test crystals are left out. Of classes the error of a crystal is
    the distance of the probability from the class.
    """
    predicted = FinishedEnsemble(run.folder).predicted
    folder = any_graphs_of(run.folder, task)
    try:
        held, ids = shards.load_contents(folder), shards.ids(folder)
    except shards.ShardError as error:
        raise UsageError(str(error)) from None
    has = element_matrix(held.z, held.crystal, len(ids))
    place = {name: row for row, name in enumerate(ids.tolist())}
    rows = np.array([place[name] for name in predicted["id"]])
    apart = (predicted["prediction"] - predicted["target"]).abs().to_numpy()
    found = []
    for z in np.flatnonzero(has[rows].sum(axis=0) >= LEAST).tolist():
        own = apart[has[rows, z]]
        ratio = float(own.mean() / apart.mean()) if apart.mean() else 1.0
        row = {"element": symbol(z), "z": z, "crystals": len(own), "error": float(own.mean())}
        found.append(row | {"ratio": ratio})
    return pd.DataFrame(found, columns=["element", "z", "crystals", "error", "ratio"])


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
