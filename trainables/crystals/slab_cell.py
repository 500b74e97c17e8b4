"""The cell of a slab: its height along the normal of a and b, and its vacuum along c."""

from __future__ import annotations

import numpy as np

from trainables.crystals.crystal import BadCrystal, Crystal

# Å between atoms along the normal: the networks look 8 Å far, and a slab that sees its own image
# would have other features with more vacuum.
LEAST_VACUUM = 8.0
SECOND_GAP = 5.0  # Å; layers of one slab are nearer, those of van der Waals crystals 3 to 4 Å
SAME_HEIGHT = 0.01  # relative difference of the heights of a cell that two columns give
ADD_VACUUM = "add some, as atoms.center(vacuum=10, axis=2) of ASE does"


def height_of(crystal: Crystal) -> float:
    """Å, the height of a cell along the normal of a and b: the period of a planar average."""
    a, b, c = crystal.lattice
    normal = np.cross(a, b)
    return abs(float(c @ normal)) / float(np.linalg.norm(normal))


def demand_slab(crystal: Crystal, height: float) -> None:
    """Refuses a crystal that is no slab normal to a and b, or whose potential is another's.

    Args:
        height: Å, of the potential.

    Raises:
        BadCrystal: there is no vacuum along c or another gap, or the cell has another height.
    """
    own = height_of(crystal)
    if abs(own - height) > SAME_HEIGHT * own:
        raise BadCrystal(
            f"heights differ: the potential spans {height:.4g} Å, and the cell has {own:.4g} Å"
            " along the normal of a and b; is the vacuum along c?"
        )
    places = np.sort(crystal.frac[:, 2] % 1.0)
    gaps = own * np.sort(np.diff(places, append=places[0] + 1))
    _demand_vacuum(gaps[-1])
    if (gaps[:-1] >= SECOND_GAP).any():
        raise BadCrystal(
            f"two slabs in one cell: gaps of {gaps[-2]:.3g} and {gaps[-1]:.3g} Å between atoms"
            " along c"
        )


def demand_outer_vacuum(crystal: Crystal) -> None:
    """Refuses a slab that does not repeat along c if its images, one cell further, were too near.

    Else it is the slab of that cell repeated along c too.
    """
    if len(crystal.frac):
        _demand_vacuum(height_of(crystal) * (1 - float(np.ptp(crystal.frac[:, 2]))))


def _demand_vacuum(gap: float) -> None:
    if gap < LEAST_VACUUM:
        raise BadCrystal(
            f"too little vacuum: atoms are {max(gap, 0.0):.3g} Å apart along c at most,"
            f" {LEAST_VACUUM:g} Å are needed; {ADD_VACUUM}"
        )
