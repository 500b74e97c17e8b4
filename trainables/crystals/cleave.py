"""Slabs cut from crystals along lattice planes, with the cell that repeats them in the plane.

Legend: N atoms of the crystal, M of the slab.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trainables.crystals.crystal import Crystal

SAME_PLANE = 0.05  # Å between atoms of one plane
WIDEST = 50  # steps of the reduction of two vectors


@dataclass(frozen=True)
class Layers:
    """A crystal whose cell has a and b in a lattice plane.

    Attributes:
        numbers: [N].
        frac: [N, 3] in the new cell, the third between 0 and 1.
        lattice: [3, 3] rows a, b, c in Å: a along x, b in the plane of x and y, c with z > 0.
    """

    numbers: np.ndarray
    frac: np.ndarray
    lattice: np.ndarray

    @property
    def period(self) -> float:
        """Å along the normal after which the crystal repeats."""
        return float(self.lattice[2, 2])

    @property
    def area(self) -> float:
        """Å² of the cell in the plane."""
        return float(self.lattice[0, 0] * self.lattice[1, 1])

    def cuts(self) -> list[float]:
        """Where the crystal can be cut without cutting a plane of atoms, as parts of a period."""
        places = np.sort(self.frac[:, 2])
        gaps = np.diff(places, append=places[0] + 1.0)
        wide = np.flatnonzero(gaps * self.period > SAME_PLANE)
        return [float((places[one] + gaps[one] / 2) % 1.0) for one in wide]

    def slab(self, cut: float, repeats: int, vacuum: float) -> Crystal:
        """The slab of whole periods above a cut, in the middle of its cell, c along the normal.

        Args:
            vacuum: Å between the atoms of both faces.
        """
        one = np.column_stack([self.frac[:, :2], (self.frac[:, 2] - cut) % 1.0])
        whole = np.concatenate([one + np.array([0.0, 0.0, layer]) for layer in range(repeats)])
        places = whole @ self.lattice
        low, high = places[:, 2].min(), places[:, 2].max()
        height = high - low + vacuum
        places[:, 2] += height / 2 - (low + high) / 2
        lattice = self.lattice.copy()
        lattice[2] = 0.0, 0.0, height
        frac = places @ np.linalg.inv(lattice)
        frac[:, :2] -= np.floor(frac[:, :2] + 1e-9)
        return Crystal(np.tile(self.numbers, repeats), frac, lattice)


def along(crystal: Crystal, miller: tuple[int, int, int]) -> Layers:
    """The crystal with a and b in the plane (h k l) of its own cell.

    a and b are the shortest vectors of the lattice in that plane; c leads to the next one.

    Raises:
        ValueError: all indices are 0.
    """
    whole = plane_basis(miller).astype(float)
    lattice = whole @ crystal.lattice
    whole[:2] = _reduced(lattice[:2]) @ whole[:2]
    lattice = whole @ crystal.lattice
    if np.linalg.det(lattice) < 0:
        whole[1] *= -1
        lattice = whole @ crystal.lattice
    frac = crystal.frac @ np.linalg.inv(whole)
    frac[:, 2] %= 1.0
    return Layers(crystal.numbers, frac, _upright(lattice))


def plane_basis(miller: tuple[int, int, int]) -> np.ndarray:
    """[3, 3] whole numbers, determinant ±1: two vectors in a plane, and one to the next plane.

    By the extended Euclidean algorithm. With g = gcd(h, k) = h p + k q, the vectors (k, -h, 0) / g
    and (p l', q l', -g') lie in the plane, for l' = l / gcd(g, l) and g' = g / gcd(g, l).
    """
    h, k, last = miller
    first, p, q = _gcd(h, k)
    common, r, s = _gcd(first, last)
    if not common:
        raise ValueError("the plane (0 0 0) is none")
    within = [k // first, -h // first, 0] if first else [1, 0, 0]
    across = [p * last // common, q * last // common, -first // common] if first else [0, 1, 0]
    return np.array([within, across, [p * r, q * r, s]])


def _gcd(a: int, b: int) -> tuple[int, int, int]:
    """g = gcd(a, b) ≥ 0, and x and y with a x + b y = g."""
    x, y, u, v = 1, 0, 0, 1
    while b:
        ratio = a // b
        a, b, x, y, u, v = b, a - ratio * b, u, v, x - ratio * u, y - ratio * v
    return (a, x, y) if a >= 0 else (-a, -x, -y)


def _reduced(pair: np.ndarray) -> np.ndarray:
    """[2, 2] whole numbers that make two vectors the shortest of their lattice (Gauss)."""
    whole = np.eye(2)
    for _ in range(WIDEST):
        a, b = whole @ pair
        if b @ b < a @ a - 1e-9:
            whole = whole[::-1].copy()
            continue
        share = math.floor(float(a @ b) / float(a @ a) + 0.5 - 1e-9)
        if not share:
            break
        whole[1] -= share * whole[0]
    return whole


def _upright(lattice: np.ndarray) -> np.ndarray:
    """A right-handed cell turned such that a lies along x and b in the plane of x and y."""
    a, b, _ = lattice
    x = a / np.linalg.norm(a)
    normal = np.cross(a, b)
    z = normal / np.linalg.norm(normal)
    return np.asarray(lattice @ np.column_stack([x, np.cross(z, x), z]))
