"""The targets of formulas: numbers, or two classes given as numbers or words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trainables.crystals.crystal import BadCrystal, one_line
from trainables.crystals.targets import is_missing, read_target, with_point, words

MOST_CLASSES = 5  # this few distinct whole numbers, counted from 0 or 1, are labels of classes
SHOWN = 4  # words in a message


@dataclass(frozen=True, kw_only=True)
class Values:
    """Targets of all rows.

    Attributes:
        target: [B] float64, NaN if bad; 0 or 1 for classes.
        bad: row -> why it has no target.
        classes: names of 0 and 1; None for numbers.
    """

    target: np.ndarray
    bad: dict[int, str]
    classes: tuple[str, str] | None = None

    def of(self, rows: Sequence[int]) -> Values:
        """The targets of good rows; numbers with two distinct values become classes.

        Raises:
            ValueError: all are of one class.
        """
        target = self.target[list(rows)]
        known = np.unique(target)
        if self.classes is not None and len(known) < 2 < len(target):
            raise ValueError(f"the good rows are all of one class of {' and '.join(self.classes)}")
        if self.classes is None and len(known) == 2:
            names = f"{known[0]:g}", f"{known[1]:g}"
            return Values(target=(target == known[1]).astype(float), bad={}, classes=names)
        return replace(self, target=target, bad={})


def read_values(cells: Sequence[str], *, commas: bool = False) -> Values:
    """Numbers and booleans as `read_target` parses them; words if no cell is a number.

    Of two words, ignoring case, the later one in the alphabet is class 1.

    Args:
        commas: whether they are decimal.

    Raises:
        ValueError: words or whole numbers that name more than two classes, in one line.
    """
    kinds = sorted({cell.casefold() for cell in words(cells)})
    if len(kinds) > 2:
        shown = ", ".join(one_line(kind, 30) for kind in kinds[:SHOWN])
        more = ", …" if len(kinds) > SHOWN else ""
        raise ValueError(
            f"the target has {len(kinds)} kinds of words ({shown}{more}); two classes are learned,"
            " or numbers"
        )
    target, bad = np.full(len(cells), np.nan), {}
    for row, cell in enumerate(cells):
        try:
            if len(kinds) == 2 and not is_missing(cell):
                target[row] = kinds.index(cell.strip().casefold())
            else:
                target[row] = read_target(with_point(cell) if commas else cell)
        except BadCrystal as error:
            bad[row] = str(error)
    if len(kinds) == 2:
        return Values(target=target, bad=bad, classes=(kinds[0], kinds[1]))
    _demand_no_classes(cells, target[np.isfinite(target)])
    return Values(target=target, bad=bad)


def _demand_no_classes(cells: Iterable[str], target: np.ndarray) -> None:
    known = np.unique(target)
    whole = all(re.fullmatch(r"\s*\d+\s*", cell) for cell in cells if not is_missing(cell))
    in_order = len(known) > 0 and known[0] in (0, 1) and bool((np.diff(known) == 1).all())
    if whole and in_order and 2 < len(known) <= MOST_CLASSES and len(target) > 2 * len(known):
        named = ", ".join(f"{value:g}" for value in known)
        raise ValueError(
            f"the target has only the values {named}, like names of {len(known)} classes; two"
            f" classes are learned, or numbers: if these are amounts, write them as {known[0]:.1f}"
        )


def is_of_two_words(cells: Iterable[str]) -> bool:
    """Whether a column holds exactly two words, which may name two classes."""
    return len({cell.casefold() for cell in words(cells)}) == 2
