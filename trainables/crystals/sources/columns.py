"""Finds the columns of a table by name or content, and how the target's cells are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from trainables.crystals.crystal import BadCrystal, one_line
from trainables.crystals.sources.base import (
    ANY_COLUMN,
    PER_SITE,
    TENSOR,
    SourceError,
    choose_target,
    listed,
    without_ending,
)
from trainables.crystals.sources.cells import Cells
from trainables.crystals.targets import (
    TENSORS,
    has_decimal_commas,
    is_list,
    is_missing,
    is_numeric,
    read_numbers,
    words,
)
from trainables.tensors.irreps import FORMS

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
        told = [name for name in left if _tells_something(of[name])]
        wanted = told[0] if len(told) == 1 else None
    chosen = choose_target(path, columns, numeric, wanted, given)
    return chosen


def _tells_something(cells: Sequence[str]) -> bool:
    """Whether a column without numbers may be a target: of a few words, or of lists."""
    return any(map(is_list, cells)) or 1 < len(words(cells)) <= MOST_CLASSES


def form_of(
    path: Path,
    target: str,
    columns: Sequence[str],
    sample: Sequence[Sequence[str]],
    every: Callable[[], Iterable[str]],
    delimiter: str = "",
) -> Cells:
    """The form of a target's cells.

    Args:
        target: name of the target, as asked for.
        columns: its columns.
        sample: the cells of each column in the first rows.
        every: all cells of the first column, for words, of which one may come late.
        delimiter: of the table's cells, as a delimiting comma is not decimal; "" for none.

    Raises:
        SourceError: numbers can be read in two ways, or words name more or fewer than two classes,
            or lists differ in length; in one line.
    """
    _, ending = ("", "") if target in columns else without_ending(target)
    if ending == PER_SITE:
        return Cells(kind="site")
    if ending:
        return _tensors(ending)
    if len(columns) == 1 and _are_lists(sample[0]):
        return _lists(path, columns[0], sample[0])
    if len(columns) == 1 and words(sample[0]):
        return Cells(kind="binary", classes=_two_words(path, columns[0], every()))
    commas = tuple(
        _commas_are_decimal(path, column, cells, delimiter)
        for column, cells in zip(columns, sample, strict=True)
    )
    if len(columns) == 1:
        return Cells(commas=commas)
    return Cells(kind="properties", shape=(len(columns),), commas=commas)


def _are_lists(cells: Sequence[str]) -> bool:
    return next((is_list(cell) for cell in cells if not is_missing(cell)), False)


def _tensors(ending: str) -> Cells:
    """The form of cells that hold tensors, as the target's name ends with their kind."""
    kind = next(one for one in TENSORS if ending.startswith(TENSOR + one))
    return Cells(kind=kind, shape=(FORMS[kind].width,))


def _lists(path: Path, column: str, cells: Sequence[str]) -> Cells:
    lengths: dict[int, str] = {}
    for cell in cells:
        try:
            lengths.setdefault(len(read_numbers(cell)), cell)
        except BadCrystal:
            continue  # costs its own crystal
    if len(lengths) > 1:
        short, long = min(lengths), max(lengths)
        raise SourceError(
            f"{path}: column {one_line(column, 60)!r} holds lists of {short} to {long} numbers; a"
            f" spectrum has one length, and a number an atom is asked for as {column}{PER_SITE}"
        )
    if not lengths:
        raise SourceError(
            f"{path}: column {one_line(column, 60)!r} holds lists, but not of numbers; tensors are"
            f" asked for as {column}{TENSOR}{f' or {TENSOR}'.join(TENSORS)}"
        )
    return Cells(kind="spectrum", shape=(max(lengths),))


def _two_words(path: Path, column: str, cells: Iterable[str]) -> tuple[str, str]:
    kinds = sorted({cell.strip().casefold() for cell in cells if not is_missing(cell)})
    if len(kinds) != 2:
        raise SourceError(
            f"{path}: column {one_line(column, 60)!r} holds"
            f" {'the word' if len(kinds) == 1 else f'{len(kinds)} different words,'}"
            f" {listed(kinds[:3])}{', …' if len(kinds) > 3 else ''}; two classes are learned, or"
            " numbers"
        )
    return kinds[0], kinds[1]


def _commas_are_decimal(path: Path, column: str, cells: Sequence[str], delimiter: str) -> bool:
    """Whether a column writes 1,5 for one and a half."""
    if _are_lists(cells):
        raise SourceError(
            f"{path}: column {one_line(column, 60)!r} holds lists; several columns are numbers each"
        )
    if found := words(cells):
        raise SourceError(
            f"{path}: column {one_line(column, 60)!r} holds words ({listed(found[:3])}) and no"
            " numbers; several columns are numbers each"
        )
    try:
        return has_decimal_commas(cells, delimiter)
    except ValueError as error:
        raise SourceError(f"{path}: column {one_line(column, 60)!r}: {error}") from None
