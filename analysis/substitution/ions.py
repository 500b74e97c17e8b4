"""Radius and sign of an element's ion, as `data/ions.csv` has them (scripts/make_ions.py).

Mostly Shannon's radii (1976, 10.1107/S0567739476001551).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

from analysis.elements import NUMBERS

_IONS = resources.files("analysis.substitution").joinpath("data", "ions.csv")
ANION, CATION = "-", "+"


@dataclass(frozen=True)
class Ion:
    """The ion that stands for an element in crystals.

    Attributes:
        radius: the largest of its ionic radii in Å; None where none is known.
        sign: of its charge, `+` or `-`; the more common one where both occur.
    """

    radius: float | None
    sign: str


@cache
def ions() -> dict[int, Ion]:
    """By atomic number, 1 to 118."""
    with resources.as_file(_IONS) as path, open(path, newline="") as file:
        return {
            NUMBERS[row["symbol"]]: Ion(
                float(row["radius"]) if row["radius"] else None, row["sign"]
            )
            for row in csv.DictReader(file)
        }
