"""The ten classical classes of the elements."""

from __future__ import annotations

import numpy as np

from analysis.elements import MAX_Z, NUMBERS

_LISTED = {
    "alkali metal": "Li Na K Rb Cs Fr",
    "alkaline earth metal": "Be Mg Ca Sr Ba Ra",
    "post-transition metal": "Al Ga In Sn Tl Pb Bi Nh Fl Mc Lv",
    "metalloid": "B Si Ge As Sb Te Po",
    "non-metal": "H C N O P S Se",
    "halogen": "F Cl Br I At Ts",
    "noble gas": "He Ne Ar Kr Xe Rn Og",
}
# La to Lu and Ac to Lr; all others are transition metals.
_RANGES = {"lanthanide": range(57, 72), "actinide": range(89, 104)}
TRANSITION_METAL = "transition metal"
CLASSES = (*_LISTED, *_RANGES, TRANSITION_METAL)


def _numbered() -> np.ndarray:
    found = np.full(MAX_Z + 1, CLASSES.index(TRANSITION_METAL))
    for name, symbols in _LISTED.items():
        found[[NUMBERS[symbol] for symbol in symbols.split()]] = CLASSES.index(name)
    for name, numbers in _RANGES.items():
        found[list(numbers)] = CLASSES.index(name)
    return found


_CLASS_OF = _numbered()


def classes_of(numbers: np.ndarray) -> np.ndarray:
    """Indices in `CLASSES` of atomic numbers [n]."""
    return _CLASS_OF[numbers]


def members_of(name: str) -> list[int]:
    """Atomic numbers of a class of `CLASSES`, ascending."""
    numbers = np.arange(1, MAX_Z + 1)
    return [int(z) for z in numbers[classes_of(numbers) == CLASSES.index(name)]]
