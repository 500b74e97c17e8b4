"""The 118 element symbols, and the conversion of species labels to atomic numbers."""

from __future__ import annotations

import re
from functools import lru_cache

from trainables.crystals.crystal import BadCrystal

_IN_ORDER = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br
Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho
Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es
Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
"""
SYMBOLS: tuple[str, ...] = ("", *_IN_ORDER.split())  # SYMBOLS[Z]; index 0 is unused
MAX_Z = len(SYMBOLS) - 1

# Tolerance of an occupancy of 1: files round it, and refinements leave 1.0001.
OCCUPANCY_TOLERANCE = 1e-3

# Deuterium and tritium are hydrogen to every model here: no mass enters a graph.
NUMBERS: dict[str, int] = {s: z for z, s in enumerate(SYMBOLS) if z} | {"D": 1, "T": 1}

_SPECIES = re.compile(r"([A-Z][a-z]?)(?:0\+?|[0-9.]*[+-]|[+-][0-9.]+)?(?:,\s*[a-z_]+\s*[=:][^,]+)*")


@lru_cache(maxsize=4096)
def atomic_number(label: str) -> int:
    """Atomic number of `Fe`, `Fe2+`, `Fe+2`, `Fe3+,spin=5` or `D`.

    Raises:
        BadCrystal: it is no element.
    """
    number = NUMBERS.get(label)
    if number is None:
        match = _SPECIES.fullmatch(label.strip())
        number = NUMBERS.get(match[1]) if match else None
    if number is None:
        raise BadCrystal(f"unknown element: {label[:20]!r} is not among H to Og")
    return number


def symbol(number: int) -> str:
    """Symbol of an atomic number; a number outside 1 to 118 is shown as `Z=number`."""
    return SYMBOLS[number] if 1 <= number <= MAX_Z else f"Z={number}"
