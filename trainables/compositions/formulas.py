"""Parses chemical formulas to atoms, and reduces them so that all multiples are equal.

pymatgen accepts almost anything: `Fe203` as iron alone, `Na2O.2SiO2` with O2.2, `NaN` as a nitride.
Ambiguous formulas are refused here, with a spelling that cannot be misread.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

import numpy as np

from trainables.compositions.spelling import hint, why_doubtful, why_other_elements
from trainables.crystals.crystal import one_line
from trainables.crystals.symbols import NUMBERS, symbol

# Version of the output of `reduced`, for digests of lists of formulas: other text, other list.
FORMULA_VERSION = 2
_POWER = re.compile(r"\de\d")  # C1e5; programs print large numbers in full, and small ones as 1e-05
PARTS = 10**4  # of a whole, the unit of reduced formulas
EXACT = 7  # digits of a share that are no rounding errors of its author
MOST_ATOMS = 10**6  # of an element, as in parts per million
LEAST_SHARE = 1e-6  # of an element; steels have 6e-5
LONGEST = 2000  # characters; an alloy of thirty elements has three hundred


def parse_formula(formula: str) -> dict[int, float]:
    """Parses the atoms by atomic number.

    Raises:
        ValueError: one line that says why it is no formula, or is ambiguous.
    """
    shown = one_line(formula, 60) if formula.strip() else ""
    if len(formula) > LONGEST:
        raise ValueError(f"{shown!r} is no formula (too large: {len(formula)} characters)")
    if doubt := why_doubtful(formula):
        raise ValueError(f"{shown!r} is no formula ({doubt})")
    try:
        amounts = _amounts(formula)
    except ValueError as error:
        raise ValueError(f"{shown!r} is no formula ({hint(formula, _reads) or error})") from None
    if doubt := why_other_elements(formula, set(amounts)):
        raise ValueError(f"{shown!r} is no formula ({doubt})")
    return amounts


def _amounts(formula: str) -> dict[int, float]:
    """Amounts as pymatgen parses them; raises ValueError in a few words."""
    from pymatgen.core import Composition  # here: it takes a second to import

    if _POWER.search(formula):
        raise ValueError("an amount with a power of ten; write the number out")
    try:
        amounts = {element.symbol: float(n) for element, n in Composition(formula).items()}
    except (ValueError, AttributeError, TypeError):  # whose texts are the library's own
        raise ValueError("write symbols, each with its amount behind it, like Fe2O3") from None
    strange = [name for name in amounts if name not in NUMBERS]  # pymatgen makes up elements
    if strange:
        raise ValueError(f"{strange[0]} is no element")
    by_number: dict[int, float] = {}
    for name, amount in amounts.items():
        by_number[NUMBERS[name]] = by_number.get(NUMBERS[name], 0.0) + amount
    if not by_number:
        raise ValueError("it is empty")
    _demand_amounts(by_number)
    return by_number


def _demand_amounts(by_number: dict[int, float]) -> None:
    """Refuses amounts that are slips of the pen: no formula that is meant has them."""
    total = math.fsum(by_number.values())
    if not 0 < total < math.inf:
        raise ValueError("too large")
    for number, amount in by_number.items():
        if amount > MOST_ATOMS:
            raise ValueError(
                f"{amount:g} of {symbol(number)} is too large; {MOST_ATOMS} at most: is it a typo?"
            )
        if amount < LEAST_SHARE * total:
            raise ValueError(
                f"{symbol(number)} has a share of {amount / total:.2g}, and {LEAST_SHARE:g} is the"
                " least: is it a typo?"
            )


def _reads(formula: str) -> bool:
    """Whether a formula is unambiguous."""
    try:
        amounts = _amounts(formula)
    except ValueError:
        return False
    return not why_doubtful(formula) and not why_other_elements(formula, set(amounts))


def reduce_formula(formula: str) -> str:
    """The formula in the form of `reduced`.

    Raises:
        ValueError: as in `parse_formula`.
    """
    atoms = parse_formula(formula)
    return reduced(list(atoms), list(atoms.values()))


def reduced(numbers: Sequence[int] | np.ndarray, amounts: Sequence[float] | np.ndarray) -> str:
    """A composition as text, equal for all its multiples: shares to four digits, by Z.

    Rounded shares may not sum to 1, and are rounded again until that changes nothing. So the text,
    parsed as a formula, gives itself again; and so do shares that were rounded to four digits
    before, halves to even. Elements of less than 0.00005 are left out.
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
    """Each amount in `PARTS` of their sum, to the nearest integer; halves to even.

    Given such parts, the results have a sum no farther from `PARTS`, so that repetition ends.
    """
    total = math.fsum(amounts)
    return [round(round(PARTS * amount / total, EXACT)) for amount in amounts]


def by_crystal(
    z: np.ndarray, multiplicity: np.ndarray, crystal: np.ndarray
) -> Iterator[tuple[int, str]]:
    """Yields each crystal of a shard that has nodes, and its reduced formula.

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
