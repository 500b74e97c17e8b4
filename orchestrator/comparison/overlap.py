"""What a distilled table has seen of the formulas that it is tested on, and how to undo it.

A table that a grid distilled from all folds has seen every crystal of its data sets. Where a test
fold holds the same formulas, the table may know their bonds, if not their property.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import tables as element_tables
from analysis.distill import distill
from orchestrator.comparison.flags import TransferOptions
from orchestrator.comparison.tables import Table, scaled, sidecar_of
from orchestrator.data.shard_folders import any_graphs_of
from orchestrator.data.withheld import contents_of, withheld_by
from orchestrator.grid.config import SELECTED_BY
from orchestrator.grid.distances import sum_distances
from orchestrator.interface.errors import UsageError
from orchestrator.nodes import cluster
from orchestrator.runs.finished_run import FinishedRun
from trainables.compositions.dataset import Compositions
from trainables.elements import descriptor
from trainables.training.split import split_fold
from trainables.training.transfer import Entrant


@dataclass(frozen=True)
class Seen:
    """Formulas of the crystals of one of a grid's data sets, in the order of its shards.

    Attributes:
        rows, total: as of `Dataset`; they decide the folds.
        hidden: formulas that no model of the grid was let learn from.
    """

    formulas: np.ndarray
    rows: np.ndarray
    total: int
    hidden: frozenset[str]

    def learned(self, fold: int, seed: int) -> set[str]:
        """Formulas of the training and the validation part of a fold."""
        split = split_fold(self.rows, self.total, fold, seed)
        return set(self.formulas[np.concatenate([split.train, split.validation])]) - self.hidden


@lru_cache
def seen_by(run: Path) -> Mapping[str, Seen]:
    """The data sets of a grid's run, by name.

    Raises:
        UsageError: the shards are gone or damaged.
    """
    found, hidden = {}, withheld_by(run)
    for task in FinishedRun(run).manifest["datasets"]:
        held, formulas = contents_of(any_graphs_of(run, task))
        found[task] = Seen(formulas, held.rows, held.total, hidden)
    return found


def overlap(table: Table, data: Compositions, fold: int) -> dict[str, Any] | None:
    """How many of a test fold's formulas a table's grid has seen; None where no grid is known."""
    table = table.of(fold)
    if table.run is None:
        return None
    data_sets = seen_by(table.run).values()
    known = set().union(*(set(seen.formulas) - seen.hidden for seen in data_sets))
    formulas = data.formulas[data.test_rows(fold)]
    common = [formula for formula in formulas if formula in known]
    return {
        "table": table.name,
        "task": data.name,
        "fold": fold,
        "formulas": len(formulas),
        "seen": len(common),
        "example": common[0] if common else None,
    }


def line_up(
    options: TransferOptions,
    data: Compositions,
    tables: Sequence[Table],
    seen: Sequence[Mapping[str, Any]],
) -> dict[Entrant, Table]:
    """The table of each model; under --strict, one that has seen nothing of its test fold."""
    tainted = {
        (row["table"], row["fold"]) for row in seen if row["task"] == data.name and row["seen"]
    }
    actors = max(1, cluster.worker_slots(1, 0))
    found: dict[Entrant, Table] = {}
    for fold in options.folds:
        for table in tables:
            entrant = Entrant(table=table.name, fold=fold)
            again = options.strict and (table.name, fold) in tainted
            own = table.of(fold)
            found[entrant] = without(own, data, fold, actors) if again else own
    return found


def without(table: Table, data: Compositions, fold: int, actors: int) -> Table:
    """The table distilled again from the models that have seen no formula of a test fold.

    Raises:
        UsageError: all of the grid's models have.
    """
    assert table.run is not None and table.path is not None
    hidden = set(data.formulas[data.test_rows(fold)])
    run = FinishedRun(table.run)
    known = seen_by(table.run)
    seed = int(run.manifest["config"]["seed"])
    clean = {
        (task, number)
        for task, seen in known.items()
        for number in sorted(set(run.done.loc[run.done["task"] == task, "fold"]))
        if not hidden & seen.learned(int(number), seed)
    }
    pairs = list(zip(run.ledger["task"], run.ledger["fold"], strict=True))
    ledger = run.ledger[[pair in clean for pair in pairs]]
    about = sidecar_of(table.path)
    if not clean or ledger.empty:
        raise UsageError(
            f"--strict: each model behind {table.name} has learned formulas of {data.name}'s test"
            f" fold {fold}; leave the table out, or let a grid run without them (transfer"
            " --write-formulas DIR, hybrid_grid --without FILE)"
        )
    on = SELECTED_BY[run.manifest["config"]["select_on"]]
    return _distilled(table, ledger, about, on, actors)


def _distilled(
    table: Table, ledger: pd.DataFrame, about: Mapping[str, Any], on: str, actors: int
) -> Table:
    assert table.run is not None
    sums, _ = sum_distances(table.run, ledger, on, actors)
    one = sums.get(about["strategy"])
    if one is None:
        raise UsageError(f"--strict: no model of {table.name} is left that has not seen the fold")
    numbers = one.numbers()
    matrix = one.mean()[numbers][:, numbers]
    np.fill_diagonal(matrix, 0.0)
    vectors = distill(matrix, numbers, int(about["dim"])).vectors
    values, seen = element_tables.complete(numbers, vectors, descriptor.load())
    return replace(table, values=scaled(table.name, values, seen), seen=seen)
