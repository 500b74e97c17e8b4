"""The inputs of a comparison: data sets, tables, and what the tables have seen of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.data.compositions import resolve
from orchestrator.data.given_folds import demand_own_folds
from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import are, counted
from orchestrator.transfer.flags import TransferOptions
from orchestrator.transfer.overlap import demand_untouched, of_unknown_source, overlap
from orchestrator.transfer.tables import Table, load_tables
from trainables.compositions.dataset import Compositions
from trainables.models.recipe import Recipe
from trainables.training.transfer import HELD, recipe_for

SHOWN = 5  # bad rows printed


def open_data(options: TransferOptions) -> dict[str, Compositions]:
    """Opens the data sets, by name."""
    found: dict[str, Compositions] = {}
    for spec in options.tasks:
        demand_own_folds(options.division, [spec])  # before anything is downloaded
        data = resolve(spec, options.data_dir, max_bad=options.max_bad)
        if data.name in found:
            raise UsageError(f"--tasks {spec}: another data set is called {data.name} too")
        recipe_of(options, data)
        found[data.name] = _divided(options, data)
        _describe(found[data.name])
    return found


def _describe(data: Compositions) -> None:
    """Prints the size of a data set, what was left out, and repeated compositions."""
    kind = "a number"
    if data.class_names is not None:
        no, yes = data.class_names
        kind = "two classes" + (f": 1 is {yes}, 0 is {no}" if (no, yes) != ("0", "1") else "")
    print(f"{data.name}: {len(data)} formulas of {len(data.elements)} elements, {kind}")
    if data.quarantine:
        rows = [f"row {row['row']}: {row['reason']}" for row in data.quarantine[:SHOWN]]
        more = "; …" if len(data.quarantine) > SHOWN else ""
        bad = len(data.quarantine)
        print(f"  {counted(bad, 'row')} {are(bad)} left out ({'; '.join(rows)}{more})")
    if told := _repeated(data):
        print(f"  {told}")


def _repeated(data: Compositions) -> str:
    """Compositions with several rows, and how many of them have contradicting values."""
    found, owner = np.unique(data.formulas, return_inverse=True)
    low, high = (np.full(len(found), fill) for fill in (np.inf, -np.inf))
    np.minimum.at(low, owner, data.target)
    np.maximum.at(high, owner, data.target)
    repeated = int((np.bincount(owner) > 1).sum())
    if not repeated or data.folds is not None:
        return ""
    advice = "--groups formula keeps each in one part of a fold"
    if not (low < high).any():
        return f"{repeated} compositions stand in several rows; {advice}"
    first = int(np.flatnonzero(low[owner] < high[owner])[0])
    row, values = int(data.rows[first]) + 1, (low[owner[first]], high[owner[first]])
    return (
        f"{repeated} compositions stand in several rows, {int((low < high).sum())} with different"
        f" targets (row {row}: from {values[0]:g} to {values[1]:g}); {advice}"
    )


def _divided(options: TransferOptions, data: Compositions) -> Compositions:
    """The data set with the folds of `--groups` or `--split`, if given."""
    division = options.division
    if division is None:
        return data
    demand_own_folds(division, [data.name])
    folds = division.of(data.name, data.ids, data.rows, data.path, lambda: data.formulas)
    divided = replace(data, folds=folds)
    for fold, seed in product(options.folds, options.seeds):
        split = divided.split(fold, seed, HELD[options.recipe])
        parts = {"training": split.train, "validation": split.validation, "test": split.test}
        for part, rows in parts.items():
            if not len(rows) or (data.classes and len(np.unique(data.target[rows])) < 2):
                lacks = "no row" if not len(rows) else "one class alone"
                raise UsageError(
                    f"{division.flag}: {data.name}: the {part} part of fold {fold} has {lacks};"
                    " name other --folds, or divide otherwise"
                )
    return divided


def open_tables(options: TransferOptions) -> list[Table]:
    """Loads the tables to compare."""
    tables = load_tables(
        options.tables,
        options.seeds,
        controls=options.controls,
        folds=options.folds,
        rescaled=options.rescales,
    )
    names = [table.name for table in tables]
    if options.reference is not None and options.reference not in names:
        raise UsageError(f"--reference {options.reference}: there are {', '.join(names)}")
    filled = {table.name: int((~table.seen).sum()) for table in tables if not table.control}
    told = [f"{name} ({118 - count} elements)" for name, count in filled.items()]
    print(f"tables: {', '.join(told)}")
    if options.controls:
        print(f"controls: {', '.join(table.name for table in tables if table.control)}")
    return tables


def recipe_of(options: TransferOptions, data: Compositions) -> Recipe:
    """The recipe of a data set; UsageError if a model would stop before its first validation."""
    given = {"epochs": options.epochs, "patience": options.patience}
    changes = {name: value for name, value in given.items() if value is not None}
    if options.epochs is not None and options.patience is None:
        changes["patience"] = options.epochs
    recipe = recipe_for(options.recipe, len(data), **changes)
    first = next(epoch + 1 for epoch in range(recipe.epochs) if recipe.validates(epoch))
    if recipe.patience < first:
        raise UsageError(
            f"--patience {recipe.patience}: recipe {recipe.name} validates after epoch {first} for"
            f" the first time; give {first} or more, or leave it out"
        )
    return recipe


def look_for_overlap(
    options: TransferOptions, data: Mapping[str, Compositions], tables: Sequence[Table]
) -> list[dict[str, Any]]:
    """Formulas of test folds that a table has seen: one row per table, data set and fold.

    Raises:
        UsageError: --strict cannot be satisfied.
    """
    found = [
        row
        for table, one, fold in product(tables, data.values(), options.folds)
        if not table.control and (row := overlap(table, one, fold)) is not None
    ]
    grouped = pd.DataFrame(found).groupby(["table", "task"], sort=False) if found else ()
    for (table, task), rows in grouped:
        seen, total = int(rows["seen"].sum()), int(rows["formulas"].sum())
        note = "; --strict takes models alone that have not" if seen and not options.strict else ""
        print(f"  {table} has seen {seen} of {total} test formulas of {task}{note}")
    for name in of_unknown_source(tables, options.folds):
        print(f"  what {name} has seen is not known: it lies outside the run that distilled it")
    if options.strict:
        demand_untouched(options, data, tables, found)
    return found
