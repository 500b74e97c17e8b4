"""What a comparison begins with: data sets, tables, and what the tables have seen of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import pandas as pd

from orchestrator.comparison.flags import TransferOptions
from orchestrator.comparison.overlap import demand_untouched, of_unknown_source, overlap
from orchestrator.comparison.tables import Table, load_tables
from orchestrator.data.compositions import resolve
from orchestrator.interface.errors import UsageError
from trainables.compositions.dataset import Compositions
from trainables.training.recipe import Recipe
from trainables.training.transfer import recipe_for


def open_data(options: TransferOptions) -> dict[str, Compositions]:
    """The data sets by name."""
    found: dict[str, Compositions] = {}
    for spec in options.tasks:
        data = resolve(spec, options.data_dir)
        if data.name in found:
            raise UsageError(f"--tasks {spec}: another data set is called {data.name} too")
        found[data.name] = data
        recipe_of(options, data)
        kind = "two classes" if data.classes else "a number"
        print(f"{data.name}: {len(data)} formulas of {len(data.elements)} elements, {kind}")
    return found


def open_tables(options: TransferOptions) -> list[Table]:
    """The competitors."""
    tables = load_tables(
        options.tables,
        min(options.seeds),
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
    """The recipe of a data set; UsageError where a model would stop before it is validated."""
    given = {"epochs": options.epochs, "patience": options.patience}
    changes = {name: value for name, value in given.items() if value is not None}
    if options.epochs is not None and options.patience is None:
        changes["patience"] = options.epochs
    recipe = recipe_for(options.recipe, len(data), **changes)
    first = next(epoch + 1 for epoch in range(recipe.epochs) if recipe.examines(epoch))
    if recipe.patience < first:
        raise UsageError(
            f"--patience {recipe.patience}: recipe {recipe.name} validates after epoch {first} for"
            f" the first time; give {first} or more, or leave it out"
        )
    return recipe


def look_for_overlap(
    options: TransferOptions, data: Mapping[str, Compositions], tables: Sequence[Table]
) -> list[dict[str, Any]]:
    """Formulas of test folds that a table has seen: a row a table, data set and fold.

    Raises:
        UsageError: --strict cannot be had.
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
