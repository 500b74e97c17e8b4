"""The ions of the embedded set: charges, Shannon radii and Born exponents.

Radii: R. D. Shannon, Acta Cryst. A32, 751 (1976), doi:10.1107/S0567739476001551, as pymatgen
ships them (effective ionic radii, high spin where there is a choice). Born exponents: L. Pauling,
The Nature of the Chemical Bond, by noble-gas core.
"""

from __future__ import annotations

from functools import lru_cache

from trainables.crystals.symbols import NUMBERS

_CATIONS = {
    1: "Li Na K Rb Cs Cu Ag Au Hg Tl",
    2: "Be Mg Ca Sr Ba V Cr Mn Fe Co Ni Cu Zn Ge Pd Cd Sm Eu Tm Yb Pt Hg Pb",
    3: "Al Sc Ti V Cr Mn Fe Co Ni Ga As Y Nb Mo Ru Rh In Sb La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er "
    "Tm Yb Lu Ta Ir Au Tl Bi Ac U Np Pu Am Cm",
    4: "Si Ti V Cr Mn Ge Zr Nb Mo Tc Ru Rh Pd Sn Te Ce Pr Tb Hf Ta W Re Os Ir Pt Pb Th Pa U Np Pu",
    5: "V Nb Mo Ru Sb Ta W Re Os Pa U",
    6: "Mo Te W Re U",
}
CATIONS: dict[int, tuple[str, ...]] = {q: tuple(s.split()) for q, s in _CATIONS.items()}
ANIONS: dict[int, tuple[str, ...]] = {
    -1: ("F", "Cl", "Br", "I"),
    -2: ("O", "S", "Se", "Te"),
    -3: ("N",),
}
FURTHEST = 2  # a cation's coordination number may differ this much from a tabulated one
SMALLEST = 0.2  # Å; a smaller cation (B3+, C4+, N5+) polarises too much to count as ionic

_ROMAN = {
    "I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6, "VII": 7, "VIII": 8, "IX": 9, "X": 10,
    "XI": 11, "XII": 12,
}  # fmt: skip
# (electrons of the noble gas, exponent); Rn is not in Pauling's list and is taken as Xe.
_CORES = ((54, 12), (36, 10), (18, 9), (10, 7), (2, 5))


def ions(charge: int) -> tuple[str, ...]:
    """Elements with a charge in the embedded set."""
    return CATIONS.get(charge, ()) if charge > 0 else ANIONS.get(charge, ())


def born_exponent(element: str, charge: int) -> int:
    """Born exponent of an ion: that of the largest noble-gas core it contains.

    He 5, Ne 7, Ar 9, Kr 10, Xe 12; Cu+, Ag+ and Au+ so fall to 9, 10 and 12, as Pauling has them.
    """
    electrons = NUMBERS[element] - charge
    return next((n for core, n in _CORES if electrons >= core), 5)


@lru_cache(maxsize=4096)
def shannon_radius(element: str, charge: int, coordination: int) -> float | None:
    """Radius in Å of an ion, None if Shannon gives none or it is below `SMALLEST`.

    A coordination number that is not tabulated takes the nearest one that is, of two equally near
    the lower, and for cations none that is more than `FURTHEST` away. Square-planar and pyramidal
    entries are left aside.
    """
    from pymatgen.core import Element

    table = Element(element).data["Shannon radii"].get(str(charge), {})
    known = {_ROMAN[name]: spins for name, spins in table.items() if name in _ROMAN}
    if not known:
        return None
    nearest = min(known, key=lambda number: (abs(number - coordination), number))
    if charge > 0 and abs(nearest - coordination) > FURTHEST:
        return None
    spins = known[nearest]
    chosen = next((spins[s] for s in ("", "High Spin", "Low Spin") if s in spins), None)
    if chosen is None or chosen["ionic_radius"] < SMALLEST:
        return None
    return float(chosen["ionic_radius"])
