"""Formulas from a CSV with a formula column, or from a MatBench file of compositions."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainables.compositions.dataset import Compositions
from trainables.crystals.crystal import one_line
from trainables.crystals.registry import TASKS
from trainables.crystals.sources.base import (
    ID_COLUMNS,
    SourceError,
    choose_target,
    csv_rows,
    is_text,
    open_text,
    readable,
    stem,
    why_no_id,
)
from trainables.crystals.sources.table import sniff_delimiter
from trainables.crystals.symbols import NUMBERS, symbol
from trainables.crystals.targets import is_numeric

FORMULA_COLUMNS = ("formula", "composition")
LEAST_ROWS = 10
BOOLEANS = {"true": 1.0, "false": 0.0}
# Of what `reduced` writes, for the digests of lists of formulas: other text is another list.
FORMULA_VERSION = 2
PARTS = 10**4  # of a whole, in which reduced formulas count
EXACT = 7  # digits of a part that are no rounding errors of whoever worked the share out
# Of a dot before water, where no amount below 1 ends: CuSO4.5H2O would be read as SO4.5 and H2O.
WATER = re.compile(r"(?<![^\d]0)\.\d*\(?[HD]2O(?!\d)")

Row = tuple[int, str, str]  # line in the file, formula, target


def read_compositions(
    path: Path, target: str | None = None, name: str | None = None
) -> Compositions:
    """All formulas of a file with their targets.

    A file whose name, or whose given name, is that of a MatBench task has to have its size.

    Raises:
        SourceError: one line that names the file, and the line and formula where one is wrong.
    """
    plain = path.name.lower().removesuffix(".gz")
    given, ids = _json_rows(path, target) if plain.endswith(".json") else _csv_rows(path, target)
    name = name or stem(path).removesuffix(".json").removeprefix("matbench_")
    known = TASKS.get(name)
    if known is not None and known.kind == "composition" and known.n != len(given):
        raise SourceError(
            f"{path}: {len(given)} formulas, but matbench_{name} has {known.n}; fetch the whole"
            " file, or name the data set otherwise (NAME=PATH)"
        )
    if len(given) < LEAST_ROWS:
        raise SourceError(f"{path}: {len(given)} formulas; five folds need at least {LEAST_ROWS}")
    values = np.array([_value(path, line, cell) for line, _, cell in given])
    atoms = [_atoms(path, line, formula) for line, formula, _ in given]
    sizes = [len(numbers) for numbers, _, _ in atoms]
    classes = len(np.unique(values)) == 2
    digits = math.floor(math.log10(len(given))) + 1
    prefix = f"mb-{name.replace('_', '-')}" if known else name
    return Compositions(
        name=name,
        ptr=np.concatenate([[0], np.cumsum(sizes)]),
        z=np.concatenate([numbers for numbers, _, _ in atoms]).astype(np.uint8),
        fraction=np.concatenate([shares for _, shares, _ in atoms]),
        target=(values == values.max()).astype(float) if classes else values,
        formulas=np.array([reduced for _, _, reduced in atoms]),
        ids=np.array(ids or [f"{prefix}-{row + 1:0{digits}d}" for row in range(len(given))]),
        classes=classes,
    )


def _csv_rows(path: Path, target: str | None) -> tuple[list[Row], list[str]]:
    with readable(path), open_text(path) as file:
        delimiter = sniff_delimiter(file.readline())
    with readable(path), open_text(path, whole=True) as file:
        reader = csv_rows(file, path, delimiter)
        header = [cell.strip() for cell in next(reader, (0, []))[1]]
        rows = [(line, cells) for line, cells in reader if cells]
    formula = next((column for column in FORMULA_COLUMNS if column in header), None)
    if formula is None:
        raise SourceError(
            f"{path}: no column {' or '.join(FORMULA_COLUMNS)}; there are {', '.join(header)}"
        )
    for line, cells in rows:
        if len(cells) != len(header):
            raise SourceError(f"{path}, line {line}: {len(cells)} cells, but {len(header)} columns")
    skipped = {formula, *FORMULA_COLUMNS, *ID_COLUMNS}
    numeric = [
        column
        for at, column in enumerate(header)
        if column not in skipped and is_numeric(cells[at] for _, cells in rows)
    ]
    at, value = header.index(formula), header.index(choose_target(path, header, numeric, target))
    named = next((header.index(column) for column in ID_COLUMNS if column in header), None)
    ids = [] if named is None else [cells[named].strip() for _, cells in rows]
    for (line, _), name in zip(rows, ids, strict=False):
        if reason := why_no_id(name):
            raise SourceError(f"{path}, line {line}: {reason}")
    return [(line, cells[at], cells[value]) for line, cells in rows], ids


def _json_rows(path: Path, target: str | None) -> tuple[list[Row], list[str]]:
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
    formula = next((column for column in FORMULA_COLUMNS if column in columns), None)
    if formula is None:
        raise SourceError(f"{path}: holds {', '.join(columns)}, no compositions")
    value = choose_target(path, columns, [c for c in columns if c != formula], target)
    at, to = columns.index(formula), columns.index(value)
    return [(row + 1, str(cells[at]), str(cells[to])) for row, cells in enumerate(data)], []


def _demand_table(columns: list[Any], data: list[Any]) -> None:
    """Raises ValueError where the names are no texts, or a row has not a cell for each of them."""
    for name in columns:
        if not (isinstance(name, str) and is_text(name)):
            raise ValueError(f"column {name!a} is no text")
    for row, cells in enumerate(data, 1):
        if not isinstance(cells, list) or len(cells) != len(columns):
            raise ValueError(f"row {row} is no list of {len(columns)} cells")


def _value(path: Path, line: int, cell: str) -> float:
    text = cell.strip().lower()
    try:
        value = BOOLEANS[text] if text in BOOLEANS else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SourceError(f"{path}, line {line}: the target {cell!r} is no finite number")
    return value


def _atoms(path: Path, line: int, formula: str) -> tuple[np.ndarray, np.ndarray, str]:
    """Atomic numbers, shares and reduced formula; the most abundant element first."""
    try:
        by_number = parse_formula(formula)
    except ValueError as error:
        raise SourceError(f"{path}, line {line}: {error}") from None
    numbers = np.array(sorted(by_number, key=lambda z: (-by_number[z], z)))
    amounts = np.array([by_number[z] for z in numbers])
    return numbers, amounts / amounts.sum(), reduced(numbers, amounts)


def parse_formula(formula: str) -> dict[int, float]:
    """Atoms by atomic number.

    Raises:
        ValueError: one line that says why it is no formula.
    """
    from pymatgen.core import Composition  # here: it takes a second to import

    if (water := WATER.search(formula)) is not None:  # the dot would be an amount's
        raise ValueError(
            f"{formula!r} is no formula ({water.group()!r} may be water or an amount that is no"
            " whole number; write CuSO4(H2O)5 for the one, H2OCuSO4.5 for the other)"
        )
    try:
        amounts = {element.symbol: float(n) for element, n in Composition(formula).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{formula!r} is no formula ({error})") from None
    strange = [name for name in amounts if name not in NUMBERS]  # it makes up an element for any
    if strange or not amounts:
        what = f"{strange[0]} is no element" if strange else "it is empty"
        raise ValueError(f"{formula!r} is no formula ({what})")
    by_number: dict[int, float] = {}
    for name, amount in amounts.items():
        by_number[NUMBERS[name]] = by_number.get(NUMBERS[name], 0.0) + amount
    if not 0 < sum(by_number.values()) < math.inf:
        raise ValueError(f"{one_line(formula, 60)!r} is no formula (too large)")
    return by_number


def reduce_formula(formula: str) -> str:
    """A formula as `reduced` writes it.

    Raises:
        ValueError: as by `parse_formula`.
    """
    atoms = parse_formula(formula)
    return reduced(list(atoms), list(atoms.values()))


def reduced(numbers: Sequence[int] | np.ndarray, amounts: Sequence[float] | np.ndarray) -> str:
    """A composition as text, the same for all multiples of it: shares to four digits, by Z.

    What is rounded may not sum to 1, and is rounded again until that changes nothing. So the text,
    read as a formula, gives itself again; and so do shares that somebody else has rounded to four
    digits, halves to the even one. Elements of less than 0.00005 are left out.
    """
    ordered = sorted((int(z), float(amount)) for z, amount in zip(numbers, amounts, strict=True))
    parts = _in_parts([amount for _, amount in ordered])
    while (again := _in_parts(parts)) != parts:
        parts = again
    return " ".join(
        f"{symbol(z)}{part / PARTS:.4f}"
        for (z, _), part in zip(ordered, parts, strict=True)
        if part
    )


def _in_parts(amounts: Sequence[float]) -> list[int]:
    """Each amount in `PARTS` of their sum, to the nearest whole; halves to the even one.

    Given such parts, those it gives have a sum no farther from `PARTS`, so that to repeat it ends.
    """
    total = math.fsum(amounts)
    return [round(round(PARTS * amount / total, EXACT)) for amount in amounts]


def by_crystal(
    z: np.ndarray, multiplicity: np.ndarray, crystal: np.ndarray
) -> Iterator[tuple[int, str]]:
    """Each crystal of a shard that has nodes, and its reduced formula.

    Args:
        z, multiplicity, crystal: [N] atomic number, atoms and crystal of each node.
    """
    if not len(z):
        return
    order = np.lexsort((z, crystal))
    z, multiplicity, crystal = z[order], multiplicity[order], crystal[order]
    first = np.flatnonzero(np.r_[True, (crystal[1:] != crystal[:-1]) | (z[1:] != z[:-1])])
    amounts = np.add.reduceat(multiplicity.astype(float), first)
    owners, numbers = crystal[first], z[first]
    starts = np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]])
    for start, end in zip(starts, [*starts[1:], len(owners)], strict=True):
        yield int(owners[start]), reduced(numbers[start:end], amounts[start:end])
