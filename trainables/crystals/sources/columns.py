"""Finds the columns of a table by name or content, and how its numbers are written."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from trainables.crystals.crystal import BadCrystal, Entry, one_line
from trainables.crystals.sources.base import ANY_COLUMN, SourceError, choose_target, listed
from trainables.crystals.targets import has_decimal_commas, is_numeric, with_point, words

FORMULA_COLUMNS = ("formula", "composition", "pretty_formula", "formula_pretty", "reduced_formula")
_INDEX = re.compile(r"|Unnamed: \d+(_level_\d+)?|__index_level_\d+__")
SAMPLE = 200  # rows from which the content of columns is judged
MOST_CLASSES = 10  # distinct words; more are probably names or remarks


def find_column(path: Path, columns: Sequence[str], names: Iterable[str]) -> str | None:
    """The column with the first of these names that occurs, ignoring case; as it is spelled.

    Raises:
        SourceError: two columns match.
    """
    for name in names:
        found = [column for column in columns if called([column], [name])]
        if len(found) > 1:
            raise SourceError(f"{path}: two columns are called {name!r}; rename one")
        if found:
            return found[0]
    return None


def called(columns: Iterable[str], names: Iterable[str]) -> set[str]:
    """The columns with one of the names, ignoring case and taking spaces for underscores."""
    names = set(names)
    return {
        column
        for column in columns
        if column.strip().lower().replace(" ", "_").replace("-", "_") in names
    }


def is_index(column: str) -> bool:
    """Whether a column is the row numbers that pandas writes: no target."""
    return _INDEX.fullmatch(column.strip()) is not None


def lacks_structures(path: Path, columns: Sequence[str], wanted: str) -> SourceError:
    """The error for a table without crystals in it."""
    also = ""
    if called(columns, FORMULA_COLUMNS):
        also = "; formulas alone are for the transfer job"
    return SourceError(f"{path}: no {wanted} column; it has {listed(columns)}{also}")


def find_target(
    path: Path,
    columns: Sequence[str],
    sample: Sequence[Sequence[str]],
    wanted: str | None,
    *,
    other: Iterable[str] = (),
    given: str | None = None,
) -> str:
    """The target among the columns of a text table, as in `base.choose_target`.

    Args:
        sample: the first rows.
        other: columns that hold something else.
        given: what precedes the colon on the command line.

    Raises:
        SourceError: no column, or several, would fit; the choice is named.
    """
    of = {name: [cells[at] for cells in sample] for at, name in enumerate(columns)}
    left = [name for name in columns if name not in other and not is_index(name)]
    numeric = [name for name in left if is_numeric(of[name])]
    if wanted == ANY_COLUMN:
        return choose_target(path, columns, numeric, wanted)
    if not sample:
        raise SourceError(f"{path}: no row below the header has {len(columns)} cells like it")
    if wanted is None and not numeric:
        told = [name for name in left if 1 < len(words(of[name])) <= MOST_CLASSES]
        wanted = told[0] if len(told) == 1 else None
    chosen = choose_target(path, columns, numeric, wanted, given)
    return chosen


def commas_are_decimal(path: Path, column: str, cells: Sequence[str], delimiter: str = "") -> bool:
    """Whether the target's column writes 1,5 for one and a half.

    Raises:
        SourceError: its numbers can be read in two ways, or it holds words: classes, which the grid
            does not train.
    """
    if classes := words(cells):
        raise SourceError(
            f"{path}: column {one_line(column, 60)!r} holds words ({listed(classes[:3])}) and no"
            " numbers; hybrid_grid trains regressions, and classes are for the transfer job, which"
            " takes formulas"
        )
    try:
        return has_decimal_commas(cells, delimiter)
    except ValueError as error:
        raise SourceError(f"{path}: column {one_line(column, 60)!r}: {error}") from None


def with_decimals(entry: Entry, commas: bool) -> Entry:
    """The entry with its target rewritten for `read_target`, if the table has decimal commas."""
    if not commas or entry.target is None:
        return entry
    try:
        return dataclasses.replace(entry, target=with_point(entry.target))
    except BadCrystal as bad:
        return dataclasses.replace(entry, format="bad", text=str(bad))
