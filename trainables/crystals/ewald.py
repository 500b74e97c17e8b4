"""Electrostatic energy of a lattice of point charges by Ewald's sum.

P. P. Ewald, Ann. Phys. 369, 253 (1921), doi:10.1002/andp.19213690304; the split used here is
eqs. 1-6 of A. Y. Toukmaji, J. A. Board, Comput. Phys. Commun. 95, 73 (1996),
doi:10.1016/0010-4655(96)00016-1.

Shape letters: N ions, R lattice translations, G reciprocal vectors.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc

COULOMB = 14.3996454784  # e²/(4πε₀) in eV·Å, CODATA 2018
_PRECISION = 34.0  # terms below exp(-34) = 2e-15 are left out of both sums


def ewald_energy(
    lattice: NDArray[np.float64], frac: NDArray[np.float64], charges: NDArray[np.float64]
) -> float:
    """Energy of one cell in eV, surrounded by a conductor (no surface term).

    Args:
        lattice: [3, 3] rows in Å.
        frac: [N, 3] fractional coordinates.
        charges: [N] in units of e.

    Raises:
        ValueError: the cell is not neutral.
    """
    if abs(charges.sum()) > 1e-9:
        raise ValueError(f"the cell carries a charge of {charges.sum():g} e, it must be neutral")
    volume = abs(float(np.linalg.det(lattice)))
    # This width makes both sums about equally long.
    width = math.sqrt(math.pi) * (len(charges) / volume**2) ** (1 / 6)
    real = _real_sum(lattice, frac, charges, width)
    reciprocal = _reciprocal_sum(lattice, frac, charges, width, volume)
    itself = -width / math.sqrt(math.pi) * float(charges @ charges)
    return COULOMB * (real + reciprocal + itself)


def _translations(lattice: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    heights = 1.0 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    # One more each way: two ions of the home cell differ by up to a whole cell vector.
    reach = np.ceil(radius / heights).astype(int) + 1
    steps = itertools.product(*(range(-r, r + 1) for r in reach))
    return np.array(list(steps), dtype=np.float64)


def _real_sum(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    charges: NDArray[np.float64],
    width: float,
) -> float:
    radius = math.sqrt(_PRECISION) / width
    frac = frac - np.floor(frac)
    shifts = _translations(lattice, radius) @ lattice  # [R, 3]
    total = 0.0
    for place, charge in enumerate(charges):
        vectors = (frac - frac[place]) @ lattice  # [N, 3]
        distance = np.linalg.norm(vectors[:, None] + shifts[None], axis=2)  # [N, R]
        near = (distance > 1e-9) & (distance < radius)
        others = np.broadcast_to(charges[:, None], distance.shape)[near]
        total += 0.5 * float(charge) * float(np.sum(others * _screened(distance[near], width)))
    return total


def _screened(distance: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    return np.asarray(erfc(width * distance) / distance)


def _reciprocal_sum(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    charges: NDArray[np.float64],
    width: float,
    volume: float,
) -> float:
    reciprocal: NDArray[np.float64] = np.asarray(2 * math.pi * np.linalg.inv(lattice).T, np.float64)
    radius = 2 * width * math.sqrt(_PRECISION)
    steps = _translations(reciprocal, radius)
    squares = np.sum((steps @ reciprocal) ** 2, axis=1)
    kept = (squares > 1e-12) & (squares < radius**2)
    steps, squares = steps[kept], squares[kept]  # [G, 3], [G]
    structure = np.exp(2j * math.pi * (steps @ frac.T)) @ charges  # [G]
    weights = np.exp(-squares / (4 * width**2)) / squares
    return float(2 * math.pi / volume * np.sum(weights * np.abs(structure) ** 2))
