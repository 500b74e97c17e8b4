"""Symbols of the elements and their places in the periodic table."""

from __future__ import annotations

MAX_Z = 118
_NAMES = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As "
    "Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu "
    "Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np "
    "Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
)
# SYMBOLS[Z] is the symbol of element Z.
SYMBOLS: tuple[str, ...] = ("", *_NAMES.split())
NOBLE_GASES = (2, 10, 18, 36, 54, 86, 118)
NUMBERS: dict[str, int] = {symbol: z for z, symbol in enumerate(SYMBOLS) if z}


def period(z: int) -> int:
    """Period 1-7 of element Z."""
    return 1 + sum(z > noble for noble in NOBLE_GASES)


def place(z: int) -> tuple[int, int]:
    """Row and column of element Z on the 18-column table.

    Rows 1-7 are the periods, rows 8 and 9 hold La-Yb and Ac-No; columns are 1-18 (in the f rows
    4-17, below the gap of the f block).
    """
    if 57 <= z <= 70:
        return 8, z - 57 + 4
    if 89 <= z <= 102:
        return 9, z - 89 + 4
    row = period(z)
    start = (0, *NOBLE_GASES)[row - 1]
    from_start, from_end = z - start, NOBLE_GASES[row - 1] - z
    s_columns = 1 if row == 1 else 2
    return row, from_start if from_start <= s_columns else 18 - from_end


def block(z: int) -> str:
    """Block s, p, d or f of element Z, with Lu and Lr in d and He in s."""
    row, column = place(z)
    if row > 7:
        return "f"
    if column <= 2 or z == 2:
        return "s"
    return "d" if column <= 12 else "p"
