"""What `element_scale` reads: counts, occurrences, orders, pymatgen's probabilities."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analysis.elements import MAX_Z, NUMBERS, SYMBOLS
from analysis.scale.fidelity import MODIFIED_PETTIFOR, known_scales
from analysis.scale.replaceability import Replaceability, check_counts, from_counts
from orchestrator.interface.errors import UsageError
from orchestrator.scale.flags import MOD_PETTI
from trainables.crystals.sources import SourceError
from trainables.crystals.sources.base import csv_rows


def read_replaceability(counts: Path, occurrences: Path | None) -> Replaceability:
    """S from files.

    Raises:
        UsageError: in one line, with the file, the place, and what is wrong there.
    """
    table = read_counts(counts)
    crystals = None if occurrences is None else read_occurrences(occurrences)
    try:
        return from_counts(table, crystals)
    except ValueError as error:
        both = f"{counts}" if occurrences is None else f"{counts}, {occurrences}"
        raise UsageError(f"{both}: {error}; check that the files belong together") from None


def read_counts(path: Path) -> np.ndarray:
    """Counts [119, 119] by atomic number, of a CSV with symbols or a bare matrix."""
    rows = _rows(path)
    if not rows:
        raise UsageError(f"{path}: empty; a matrix of counts is wanted")
    labelled = any(cell in NUMBERS for cell in rows[0])
    counts = np.zeros((MAX_Z + 1, MAX_Z + 1))
    if labelled:
        columns = _symbols(path, 1, rows[0][1:] if rows[0][0] not in NUMBERS else rows[0])
        names = _symbols(path, 2, [row[0] for row in rows[1:]], down=True)
        if set(columns) != set(names):
            odd = SYMBOLS[min(set(columns) ^ set(names))]
            raise UsageError(f"{path}: {odd} has a row or a column, but not both")
        cells = [row[1:] for row in rows[1:]]
    else:
        cells, names = rows, list(range(len(rows)))
        columns = names
        if len(rows) > MAX_Z + 1:
            raise UsageError(f"{path}: {len(rows)} rows; without symbols, row Z is element Z ≤ 118")
    for line, row in enumerate(cells, 1 + labelled):
        if len(row) != len(columns):
            raise UsageError(
                f"{path}, line {line}: {len(row)} counts for {len(columns)} columns; the matrix"
                " must be square"
            )
    for line, (name, row) in enumerate(zip(names, cells, strict=True), 1 + labelled):
        counts[name, columns] = [_count(path, line, cell) for cell in row]
    if not labelled and (counts[0].any() or counts[:, 0].any()):
        raise UsageError(
            f"{path}: row 0 or column 0 holds counts; without symbols they are padding, so that"
            " row Z is element Z"
        )
    try:
        check_counts(counts)
    except ValueError as error:
        raise UsageError(f"{path}: {error}; counts are numbers of at least 0") from None
    return counts


def read_occurrences(path: Path) -> np.ndarray:
    """Crystals with an element [119], of a CSV of symbol and number, header or not."""
    rows = [row for row in _rows(path) if row]
    if rows and len(rows[0]) >= 2 and rows[0][0] not in NUMBERS and not _is_number(rows[0][1]):
        rows, first = rows[1:], 2
    else:
        first = 1
    if not rows:
        raise UsageError(f"{path}: empty; rows of symbol and number of crystals are wanted")
    found = np.zeros(MAX_Z + 1)
    numbers = _symbols(path, first, [row[0] for row in rows], down=True)
    for line, (z, row) in enumerate(zip(numbers, rows, strict=True), first):
        if len(row) != 2:
            raise UsageError(f"{path}, line {line}: {len(row)} cells; symbol and number are wanted")
        value = _count(path, line, row[1])
        if not (math.isfinite(value) and value >= 0):
            raise UsageError(f"{path}, line {line}: {row[1]} crystals; a number of at least 0")
        found[z] = value
    return found


def read_order(path: Path) -> list[int]:
    """Atomic numbers of a file with one symbol a line, or with a column `symbol`."""
    rows = [row for row in _rows(path) if row]
    header = [cell.lower() for cell in rows[0]] if rows else []
    column, first = (header.index("symbol"), 2) if "symbol" in header else (0, 1)
    rows = rows[first - 1 :]
    if not rows:
        raise UsageError(f"{path}: no element in it; one symbol a line is wanted")
    cells = [row[column] if len(row) > column else "" for row in rows]
    return _symbols(path, first, cells, down=True)


def named_order(order: str, known: Replaceability, leave_out: Sequence[str]) -> np.ndarray:
    """Atomic numbers in the asked order.

    An order of a file must have every element with relations; it may have more. Of the modified
    Pettifor order, the elements without data are left away.
    """
    unwanted = {NUMBERS[symbol] for symbol in leave_out}
    wanted = {int(z) for z in known.numbers} - unwanted
    if order == MOD_PETTI:
        places = known_scales()[MODIFIED_PETTIFOR]
        return np.array(sorted(wanted & set(places), key=places.__getitem__))
    path = Path(order)
    if not path.is_file():
        raise UsageError(f"--order {order}: no such file; give mds, {MOD_PETTI} or a file")
    numbers = [z for z in read_order(path) if z not in unwanted]
    missing = sorted(wanted - set(numbers) - set(known.isolated))
    if missing:
        names = " ".join(SYMBOLS[z] for z in missing)
        raise UsageError(
            f"{path}: {names} have replaceabilities and no place in this order; add them, or do"
            f" without: --leave-out {names}"
        )
    return np.array(numbers)


def published_probabilities() -> Replaceability:
    """S_AB = P(B replaces A) of the data-mined probabilities of Hautier et al. (2011).

    10.1021/ic102031h. They are of ions; the ions of an element are summed:
    Σ_{a ∈ A, b ∈ B} p(a, b) / Σ_{a ∈ A} p(a), over the pairs of ions that were seen.
    """
    # Imported when it is needed: it takes seconds.
    from pymatgen.analysis.structure_prediction.substitution_probability import (
        SubstitutionProbability,
    )

    mined = SubstitutionProbability()
    shared = np.zeros((MAX_Z + 1, MAX_Z + 1))
    whole = np.zeros(MAX_Z + 1)
    species = sorted(mined.species, key=str)
    for one in species:
        whole[one.Z] += mined.get_px(one)
        for other in species:
            if mined.get_lambda(one, other) != mined.alpha:
                shared[one.Z, other.Z] += mined.prob(one, other)
    np.fill_diagonal(shared, 0.0)
    # `prob` is of all pairs, `get_px` a plain sum: both on one scale.
    return from_counts(shared * mined.Z, whole)


def _rows(path: Path) -> list[list[str]]:
    """Cells of a text file, divided by commas or, where there are none, by spaces."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not a text file; a table of plain text is wanted") from None
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if any("," in line for line in lines):
        try:
            return [[cell.strip() for cell in row] for _, row in csv_rows(lines, path, ",")]
        except SourceError as error:
            raise UsageError(str(error)) from None
    return [line.split() for line in lines]


def _symbols(path: Path, first: int, cells: Sequence[str], *, down: bool = False) -> list[int]:
    """Atomic numbers of symbols, each once."""
    for place, cell in enumerate(cells, first):
        if cell not in NUMBERS:
            where = f"line {place}" if down else "line 1"
            raise UsageError(f"{path}, {where}: {cell!r} is no element; symbols are H to Og")
    repeated = [cell for cell, times in Counter(cells).items() if times > 1]
    if repeated:
        raise UsageError(f"{path}: {repeated[0]} is there twice; each element has one place")
    return [NUMBERS[cell] for cell in cells]


def _count(path: Path, line: int, cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise UsageError(f"{path}, line {line}: {cell!r} is no number; a count is wanted") from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
