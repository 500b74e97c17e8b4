"""How readily elements replace each other: from files of counts, or from pymatgen's data."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analysis.elements import MAX_Z, NUMBERS, SYMBOLS
from analysis.scale.replaceability import Replaceability, check_counts, from_counts
from orchestrator.interface.errors import UsageError
from trainables.crystals.sources import SourceError
from trainables.crystals.sources.base import csv_rows


def read_replaceability(counts: Path, occurrences: Path | None) -> Replaceability:
    """Computes S from files.

    Raises:
        UsageError: in one line with the file, the place and what is wrong there.
    """
    table = read_counts(counts)
    crystals = None if occurrences is None else read_occurrences(occurrences)
    try:
        return from_counts(table, crystals)
    except ValueError as error:
        both = f"{counts}" if occurrences is None else f"{counts}, {occurrences}"
        raise UsageError(f"{both}: {error}; check that the files belong together") from None


def read_counts(path: Path) -> np.ndarray:
    """Reads counts [119, 119] by atomic number, from a CSV with symbols or a bare matrix."""
    rows = cells_of(path)
    if not rows:
        raise UsageError(f"{path}: empty; a matrix of counts is wanted")
    labelled = any(cell in NUMBERS for cell in rows[0])
    counts = np.zeros((MAX_Z + 1, MAX_Z + 1))
    if labelled:
        columns = atomic_numbers(path, 1, rows[0][1:] if rows[0][0] not in NUMBERS else rows[0])
        names = atomic_numbers(path, 2, [row[0] for row in rows[1:]], down=True)
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
    """Reads the number of crystals per element [119], from a CSV of symbol and number."""
    rows = [row for row in cells_of(path) if row]
    if rows and len(rows[0]) >= 2 and rows[0][0] not in NUMBERS and not _is_number(rows[0][1]):
        rows, first = rows[1:], 2
    else:
        first = 1
    if not rows:
        raise UsageError(f"{path}: empty; rows of symbol and number of crystals are wanted")
    found = np.zeros(MAX_Z + 1)
    numbers = atomic_numbers(path, first, [row[0] for row in rows], down=True)
    for line, (z, row) in enumerate(zip(numbers, rows, strict=True), first):
        if len(row) != 2:
            raise UsageError(f"{path}, line {line}: {len(row)} cells; symbol and number are wanted")
        value = _count(path, line, row[1])
        if not (math.isfinite(value) and value >= 0):
            raise UsageError(f"{path}, line {line}: {row[1]} crystals; a number of at least 0")
        found[z] = value
    return found


def published_probabilities() -> Replaceability:
    """S_AB = P(B replaces A) from the data-mined probabilities of Hautier et al. (2011).

    doi:10.1021/ic102031h. They are for ions; the ions of an element are summed:
    Σ_{a ∈ A, b ∈ B} p(a, b) / Σ_{a ∈ A} p(a), over the pairs of ions in the data.
    """
    # Imported on use, as it takes seconds.
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
    # `prob` covers all pairs, `get_px` a plain sum: both on one scale.
    return from_counts(shared * mined.Z, whole)


def cells_of(path: Path) -> list[list[str]]:
    """Rows of cells of a text file, separated by commas or, if it has none, by spaces.

    Raises:
        UsageError: it cannot be read.
    """
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


def atomic_numbers(
    path: Path, first: int, cells: Sequence[str], *, down: bool = False
) -> list[int]:
    """Converts distinct symbols to atomic numbers.

    Args:
        first: line of the first symbol, and of all others unless they form a column (`down`).

    Raises:
        UsageError: one is no element, or occurs twice.
    """
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
