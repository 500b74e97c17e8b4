"""What a distilled table has seen of the formulas that it is tested on, and how to avoid it.

A table has seen a formula when a model behind it learned from a crystal of it: in the training or
the validation part of its fold. So a table from all five folds has seen every crystal of its data
sets. If a test fold has the same formulas, the table may contain information on their bonds, and on
the tested property if the grid learned the same one.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import tables as element_tables
from analysis.distill import distill
from analysis.mapping import Map
from analysis.selection import strategies
from orchestrator.data.divided import folds_of
from orchestrator.data.featurise import any_graphs_of
from orchestrator.data.withheld import contents_of, withheld_by
from orchestrator.grid.config import SELECTED_BY
from orchestrator.grid.distances import sum_distances
from orchestrator.grid.request import build_config
from orchestrator.interface.errors import UsageError
from orchestrator.nodes.place import here
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.run_directory import slug
from orchestrator.transfer.flags import TransferOptions
from orchestrator.transfer.tables import Table, scaled
from trainables.compositions.dataset import Compositions
from trainables.crystals.folds import GivenFolds
from trainables.crystals.split import split_fold, split_given
from trainables.elements import descriptor
from trainables.training.transfer import Entrant


@dataclass(frozen=True)
class Seen:
    """Formulas of the crystals of one of a grid's data sets, in the order of its shards.

    Attributes:
        rows, total, folds: as of `Dataset`; they determine the parts of a fold.
        hidden: formulas that were withheld from all models of the grid.
    """

    formulas: np.ndarray
    rows: np.ndarray
    total: int
    hidden: frozenset[str]
    folds: GivenFolds | None = None

    def learned(self, fold: int, seed: int) -> set[str]:
        """Formulas of the training and the validation part of a fold."""
        if self.folds is None:
            split = split_fold(self.rows, self.total, fold, seed)
        else:
            split = split_given(self.folds, fold, seed)
        return set(self.formulas[np.concatenate([split.train, split.validation])]) - self.hidden


@dataclass(frozen=True)
class Source:
    """The grid behind a table: its run, its data sets by name, and what each model has learned."""

    run: FinishedRun
    data: Mapping[str, Seen]

    @property
    def on(self) -> str:
        """Column of the ledger by which the grid selected its models."""
        return SELECTED_BY[self._config["select_on"]]

    @property
    def _config(self) -> Mapping[str, Any]:
        return dict(self.run.manifest["config"])

    @cached_property
    def learned(self) -> dict[tuple[str, int], set[str]]:
        """By (data set, fold), the formulas that its finished models have learned from."""
        pairs = self.run.done[["task", "fold"]].drop_duplicates().itertuples(index=False)
        seed = int(self._config["seed"])
        return {
            (task, int(fold)): self.data[task].learned(int(fold), seed)
            for task, fold in pairs
            if task in self.data
        }

    @cached_property
    def known(self) -> set[str]:
        """Formulas that some model has learned from."""
        return set().union(*self.learned.values())

    def untouched(self, hidden: Set[str]) -> pd.DataFrame:
        """The ledger's models that have learned from none of these formulas."""
        clean = {pair for pair, formulas in self.learned.items() if not hidden & formulas}
        pairs = zip(self.run.ledger["task"], self.run.ledger["fold"], strict=True)
        return self.run.ledger[[pair in clean for pair in pairs]]


@lru_cache
def source_of(run: Path) -> Source:
    """Opens the grid of a run.

    Raises:
        UsageError: the shards, or the list of withheld formulas, are missing or damaged.
    """
    finished = FinishedRun(run)
    found, hidden = {}, withheld_by(run)
    for task in finished.manifest["datasets"]:
        held, formulas = contents_of(any_graphs_of(run, task))
        folds = folds_of(run, task, held.rows)
        found[task] = Seen(formulas, held.rows, held.total, hidden, folds)
    return Source(finished, found)


def overlap(table: Table, data: Compositions, fold: int) -> dict[str, Any] | None:
    """How many of a test fold's formulas a table has seen; None if its grid is unknown."""
    table = table.of(fold)
    if table.run is None:
        return None
    known = source_of(table.run).known
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
    mapper = here().mapper()
    again = {
        (table.name, fold): without(table.of(fold), data, fold, mapper, rescaled=options.rescales)
        for table, fold in product(tables, options.folds)
        if options.strict and (table.name, fold) in tainted
    }
    return {
        Entrant(table=table.name, fold=fold, seed=seed): again.get(
            (table.name, fold), table.of(fold, seed)
        )
        for seed, fold, table in product(options.seeds, options.folds, tables)
    }


def of_unknown_source(tables: Sequence[Table], folds: Sequence[int]) -> list[str]:
    """Names of tables that a grid distilled, but that are outside its run."""
    return [
        table.name
        for table in tables
        if any(own.distilled and own.run is None for own in map(table.of, folds))
    ]


def demand_untouched(
    options: TransferOptions,
    data: Mapping[str, Compositions],
    tables: Sequence[Table],
    seen: Sequence[Mapping[str, Any]],
) -> None:
    """Checks `--strict`: each table can be made without its test fold's formulas.

    Args:
        seen: results of `overlap`.

    Raises:
        UsageError: one cannot; with the commands that make one that can.
    """
    if unknown := of_unknown_source(tables, options.folds):
        raise UsageError(
            f"--strict: what {', '.join(unknown)} has seen is not known, since the file lies"
            " outside the run that distilled it; name the one in that run's tables/"
        )
    by_name = {table.name: table for table in tables}
    for row in seen:
        if not row["seen"]:
            continue
        own, one = by_name[row["table"]].of(row["fold"]), data[row["task"]]
        if not _models_without(own, one, row["fold"]):
            raise UsageError(
                f"--strict: each model behind {own.name} has learned formulas of {one.name}'s test"
                f" fold {row['fold']}; leave the table out, or train a grid without them for each"
                f" fold: {commands(options, data, own)}"
            )


def commands(options: TransferOptions, data: Mapping[str, Compositions], table: Table) -> str:
    """Shell commands, on one line, that make a table of each fold without its test formulas."""
    assert table.run is not None and table.path is not None
    folds = " ".join(map(str, options.folds))
    tasks = " ".join(map(shlex.quote, options.tasks))
    place = f" --data-dir {shlex.quote(str(options.data_dir))}" if options.data_dir else ""
    lists = " ".join(f"formulas/{slug(name)}-fold$F.txt" for name in data)
    run, file = shlex.quote(str(table.run)), table.path.name
    name = shlex.quote(table.name)
    return (
        f"elemgrid transfer --tasks {tasks}{place} --folds {folds} --write-formulas"
        f" formulas && for F in {folds}; do cat {lists} > formulas/without$F.txt &&"
        f" elemgrid hybrid_grid {_flags_of(table.run)} --without"
        f" formulas/without$F.txt --run {run}-without$F; done; then give --tables"
        f" {name}={run}-without{{fold}}/tables/{file} (and to hybrid_grid its --data-dir, if the"
        " first grid had one)"
    )


def _flags_of(run: Path) -> str:
    """The flags of `hybrid_grid` that give the grid of a run."""
    config = FinishedRun(run).manifest["config"]
    usual = build_config(None, {"tasks": ("any",)}).model_dump(mode="json")
    words = []
    for name, default in usual.items():
        value = config.get(name)
        if name == "without" or value is None or value == default:
            continue
        values = value if isinstance(value, list) else [value]
        words += [f"--{name.replace('_', '-')}", *(shlex.quote(str(one)) for one in values)]
    return " ".join(words)


def _models_without(table: Table, data: Compositions, fold: int) -> list[str]:
    """Keys of the models behind a table that have seen nothing of a test fold."""
    assert table.run is not None and table.path is not None
    source = source_of(table.run)
    ledger = source.untouched(set(data.formulas[data.test_rows(fold)]))
    try:
        keys = strategies(ledger, source.on)
    except ValueError:  # no model is left
        return []
    return keys.get(table.card.get("strategy", ""), [])


def without(
    table: Table, data: Compositions, fold: int, map: Map, *, rescaled: bool = True
) -> Table:
    """Distills a table again from the models that have seen no formula of a test fold.

    There has to be one, as `demand_untouched` checks. `rescaled` is as in `load_tables`.

    Raises:
        UsageError: no table can be made from their distances.
    """
    assert table.run is not None and table.path is not None
    source = source_of(table.run)
    ledger = source.untouched(set(data.formulas[data.test_rows(fold)]))
    sums, _ = sum_distances(source.run.embeddings, ledger, source.on, map)
    one = sums[table.card["strategy"]]
    numbers = one.numbers()
    matrix = one.mean()[numbers][:, numbers]
    np.fill_diagonal(matrix, 0.0)
    try:
        standardised, plain = distill(matrix, numbers, int(table.card["dim"]))
    except ValueError as error:
        raise UsageError(f"--strict: {table.name} for {data.name}, fold {fold}: {error}") from None
    vectors = (standardised if table.card.get("standardised", True) else plain).vectors
    values, seen = element_tables.complete(numbers, vectors, descriptor.load())
    if rescaled:
        values = scaled(table.name, values, seen)
    return replace(table, values=values, seen=seen)
