"""Reads formulas from a CSV with a formula column, or from a MatBench file of compositions.

An unusable row is quarantined with its reason, as a bad crystal is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainables.compositions.dataset import Compositions
from trainables.compositions.formulas import parse_formula, reduced
from trainables.compositions.spelling import why_in_capitals
from trainables.compositions.values import Values, is_of_two_words, read_values
from trainables.crystals.crystal import Entry, one_line
from trainables.crystals.quarantine import Quarantine, TooManyBad, limit_in_words
from trainables.crystals.registry import TASKS
from trainables.crystals.sources.base import (
    SourceError,
    choose_target,
    csv_rows,
    is_text,
    open_text,
    readable,
    stem,
)
from trainables.crystals.sources.columns import is_index
from trainables.crystals.sources.ids import first_id, id_columns, why_no_id
from trainables.crystals.sources.table import sniff_delimiter
from trainables.crystals.targets import has_decimal_commas, is_numeric

# In any case, and with spaces or hyphens for underscores.
FORMULA_COLUMNS = ("formula", "composition", "pretty_formula", "formula_pretty", "reduced_formula")
LEAST_ROWS = 10
SHOWN = 20  # bad rows in a message


@dataclass(frozen=True, kw_only=True)
class _Table:
    """The rows of a file, in their order.

    Attributes:
        ids: cells of a row, of which the first that is not empty is its id.
        broken: why a row is damaged.
    """

    formulas: list[str]
    targets: list[str]
    ids: list[list[str]]
    broken: dict[int, str]
    commas: bool = False  # whether they are decimal


def read_compositions(
    path: Path, target: str | None = None, name: str | None = None, *, max_bad: float | None = None
) -> Compositions:
    """Reads all good formulas of a file with their targets; the others are in `quarantine`.

    A file or data set with the name of a MatBench task has to have its number of rows, and no bad
    row: its folds are those of all rows.

    Args:
        max_bad: largest accepted share of bad rows; the rule of `most_bad` unless given.

    Raises:
        SourceError: one line that names the file and what is wrong, all bad rows together.
    """
    plain = path.name.lower().removesuffix(".gz")
    table = _json_table(path, target) if plain.endswith(".json") else _csv_table(path, target)
    name = name or stem(path).removesuffix(".json").removeprefix("matbench_")
    total, known = len(table.formulas), TASKS.get(name)
    official = known is not None and known.kind == "composition"
    if known is not None and official and known.n != total:
        raise SourceError(
            f"{path}: {total} formulas, but matbench_{name} has {known.n}; fetch the whole"
            " file, or name the data set otherwise (NAME=PATH)"
        )
    if total < LEAST_ROWS:
        raise SourceError(f"{path}: {total} formulas; five folds need at least {LEAST_ROWS}")
    prefix = f"mb-{name.replace('_', '-')}" if official else name
    digits = math.floor(math.log10(total)) + 1
    by_row = (f"{prefix}-{row + 1:0{digits}d}" for row in range(total))
    ids = [first_id(own, name) for own, name in zip(table.ids, by_row, strict=True)]
    quarantine = Quarantine(max_bad, total)
    try:
        values, atoms, good = _good_rows(path, table, ids, quarantine)
    except ValueError as error:
        raise SourceError(f"{path}: {error}") from None
    if official and quarantine.bad:
        raise SourceError(
            f"{path}: {_listed(quarantine)}; matbench_{name} has no such row, fetch it"
        )
    _demand_few_bad(path, quarantine)
    if len(good) < LEAST_ROWS:
        raise SourceError(
            f"{path}: {len(good)} good rows; five folds need at least {LEAST_ROWS};"
            f" {_listed(quarantine)}"
        )
    sizes = [len(numbers) for numbers, _, _ in atoms]
    return Compositions(
        name=name,
        ptr=np.concatenate([[0], np.cumsum(sizes)]),
        z=np.concatenate([numbers for numbers, _, _ in atoms]).astype(np.uint8),
        fraction=np.concatenate([shares for _, shares, _ in atoms]),
        target=values.target,
        formulas=np.array([reduced_formula for _, _, reduced_formula in atoms]),
        ids=np.array([ids[row] for row in good]),
        classes=values.classes is not None,
        rows=np.array(good),
        class_names=values.classes,
        quarantine=tuple(quarantine.rows()),
        path=path,
    )


Atoms = tuple[np.ndarray, np.ndarray, str]


def _good_rows(
    path: Path, table: _Table, ids: Sequence[str], quarantine: Quarantine
) -> tuple[Values, list[Atoms], list[int]]:
    """The content and positions of the good rows; the others are quarantined.

    Raises:
        ValueError: the targets are neither numbers nor two classes.
    """
    values = read_values(table.targets, commas=table.commas)
    atoms: list[Atoms] = []
    good: list[int] = []
    in_capitals = why_in_capitals(table.formulas)
    for row, formula in enumerate(table.formulas):
        entry = Entry(row, ids[row], "formula", formula, "", f"{path.name}:{row + 1}")
        reason = table.broken.get(row) or why_no_id(ids[row])
        if reason:
            quarantine.seen += 1
            quarantine.add(entry.origin, f"row {row + 1}", reason)
            continue
        if not quarantine.admit(entry):
            continue
        try:
            read = _atoms(formula)
        except ValueError as error:
            quarantine.add(entry.origin, entry.id, f"bad formula: {error}")
            continue
        if row in in_capitals:
            quarantine.add(entry.origin, entry.id, f"bad formula: {in_capitals[row]}")
            continue
        if row in values.bad:
            quarantine.add(entry.origin, entry.id, values.bad[row])
            continue
        atoms.append(read)
        good.append(row)
    return values.of(good), atoms, good


def _demand_few_bad(path: Path, quarantine: Quarantine) -> None:
    try:
        quarantine.raise_if_over_limit(final=True)
    except TooManyBad:
        raise SourceError(
            f"{path}: {_listed(quarantine)}; that is more than {limit_in_words(quarantine.limit)},"
            " mend them or raise the limit by --max-bad"
        ) from None


def _listed(quarantine: Quarantine) -> str:
    """The bad rows, in one text."""
    rows = [f"row {row['row']}: {row['reason']}" for row in quarantine.rows()]
    more = f"; and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    count = f"{quarantine.bad} of {quarantine.seen} rows are bad"
    return f"{count}: {'; '.join(rows[:SHOWN])}{more}"


def _atoms(formula: str) -> Atoms:
    """Atomic numbers, shares and reduced formula; the most abundant element first."""
    by_number = parse_formula(formula)
    numbers = np.array(sorted(by_number, key=lambda z: (-by_number[z], z)))
    amounts = np.array([by_number[z] for z in numbers])
    return numbers, amounts / amounts.sum(), reduced(numbers, amounts)


def column_named(columns: Sequence[str], names: Iterable[str]) -> str | None:
    """The column with the first of the names that occurs, as the column spells it."""
    spelled = {"_".join(column.lower().replace("-", " ").split()): column for column in columns}
    return next((spelled[name] for name in names if name in spelled), None)


def _csv_table(path: Path, target: str | None) -> _Table:
    with readable(path), open_text(path) as file:
        delimiter = sniff_delimiter(file.readline())
    with readable(path), open_text(path, whole=True) as file:
        reader = csv_rows(file, path, delimiter)
        header = [cell.strip() for cell in next(reader, (0, []))[1]]
        rows = [cells for _, cells in reader if cells]
    broken = {
        row: f"broken row: {len(cells)} cells, but {len(header)} columns"
        for row, cells in enumerate(rows)
        if len(cells) != len(header)
    }
    formula = column_named(header, FORMULA_COLUMNS)
    if formula is None:
        raise SourceError(
            f"{path}: no column {', '.join(FORMULA_COLUMNS[:-1])} or {FORMULA_COLUMNS[-1]};"
            f" there are {', '.join(header)}"
        )
    whole = [cells for row, cells in enumerate(rows) if row not in broken]
    named = id_columns(path, header)
    of = {
        column: [cells[at] for cells in whole]
        for at, column in enumerate(header)
        if column not in (formula, *named) and column_named([column], FORMULA_COLUMNS) is None
    }
    left = {column: cells for column, cells in of.items() if not is_index(column)}
    fit = [column for column, cells in left.items() if is_numeric(cells)]
    fit = fit or [column for column, cells in left.items() if is_of_two_words(cells)]
    value = choose_target(path, header, fit, target)
    try:
        commas = has_decimal_commas(of.get(value, ()), delimiter)
    except ValueError as error:
        raise SourceError(f"{path}: column {value!r}: {error}") from None
    at, to = header.index(formula), header.index(value)
    cells_of = [[""] * len(header) if row in broken else rows[row] for row in range(len(rows))]
    return _Table(
        formulas=[cells[at] for cells in cells_of],
        targets=[cells[to] for cells in cells_of],
        ids=[[cells[header.index(column)] for column in named] for cells in cells_of],
        broken=broken,
        commas=commas,
    )


def _json_table(path: Path, target: str | None) -> _Table:
    with readable(path):
        try:
            with open_text(path, whole=True) as file:
                content = json.load(file)
            columns, data = list(content["columns"]), list(content["data"])
            _demand_table(columns, data)
        except SourceError:
            raise
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reason = one_line(error)
            raise SourceError(f"{path}: no MatBench file ({reason}); fetch it again") from None
    formula = column_named(columns, FORMULA_COLUMNS)
    if formula is None:
        raise SourceError(f"{path}: holds {', '.join(columns)}, no compositions")
    value = choose_target(path, columns, [c for c in columns if c != formula], target)
    at, to = columns.index(formula), columns.index(value)
    return _Table(
        formulas=[str(cells[at]) for cells in data],
        targets=[str(cells[to]) for cells in data],
        ids=[[] for _ in data],
        broken={},
    )


def _demand_table(columns: list[Any], data: list[Any]) -> None:
    """Raises ValueError if the names are no texts, or a row does not have a cell for each."""
    for name in columns:
        if not (isinstance(name, str) and is_text(name)):
            raise ValueError(f"column {name!a} is no text")
    for row, cells in enumerate(data, 1):
        if not isinstance(cells, list) or len(cells) != len(columns):
            raise ValueError(f"row {row} is no list of {len(columns)} cells")
