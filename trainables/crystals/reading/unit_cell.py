"""Applies symmetry operations to listed sites to get all atoms of the cell.

Shape letters: N atoms of the cell, O operations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from trainables.crystals.crystal import BadCrystal, Crystal
from trainables.crystals.reading.operations import Operations
from trainables.crystals.symbols import symbol

# Å within which an atom and its image are one atom on a special position with rounded coordinates:
# 0.33 for 1/3 is that far off in a cell of 15 Å.
SAME_ATOM = 0.1


@dataclass(frozen=True)
class Site:
    """One row of a list of atoms."""

    name: str
    number: int
    frac: tuple[float, float, float]


def expanded(
    sites: Sequence[Site], operations: Operations, lattice: NDArray[np.float64]
) -> Crystal:
    """All atoms of the cell, those of one site together, the listed position first.

    Raises:
        BadCrystal: two sites coincide, or a site does not have the number of atoms that the
            operations make.
    """
    places = np.array([site.frac for site in sites], dtype=np.float64).reshape(-1, 3)
    kept = []
    for site, images in zip(sites, operations.images(places), strict=True):
        apart = images[:, None] - images[None]
        apart -= np.round(apart)
        near = ((apart @ lattice) ** 2).sum(axis=2) < SAME_ATOM**2
        orbit = images[near.argmax(axis=1) == np.arange(len(images))]
        if len(operations) % len(orbit):  # orbit-stabiliser theorem
            raise BadCrystal(
                f"atoms too close: {site.name} has {len(orbit)} images under {len(operations)} "
                "operations; its coordinates are too coarse for its symmetry"
            )
        kept.append(orbit)
    numbers = np.repeat([site.number for site in sites], [len(orbit) for orbit in kept])
    crystal = Crystal(numbers.astype(np.uint8), np.concatenate(kept), lattice)
    _refuse_coincidence(crystal)
    return crystal


def composition(crystal: Crystal) -> Counter[str]:
    """Atoms of each element in the cell."""
    return Counter(symbol(number) for number in crystal.numbers.tolist())


def is_closed(crystal: Crystal, operations: Operations) -> bool:
    """Whether the atoms already have these symmetries, so that none adds an atom."""
    tree = _tree(crystal.frac)
    rotations, translations = operations.rotations, operations.translations
    for rotation, translation in zip(rotations, translations, strict=True):
        one = Operations(rotation[None], translation[None])
        if not _among(one.images(crystal.frac)[:, 0], crystal.numbers, crystal, tree):
            return False
    return True


def same_atoms(one: Crystal, other: Crystal) -> bool:
    """Whether two lists for one cell have the same atoms at the same places."""
    alike = composition(one) == composition(other)
    return alike and _among(one.frac, one.numbers, other, _tree(other.frac))


def _tree(frac: NDArray[np.float64]) -> cKDTree:
    return cKDTree(_wrapped(frac), boxsize=1.0)


def _wrapped(frac: NDArray[np.float64]) -> NDArray[np.float64]:
    wrapped = frac - np.floor(frac)
    return np.where(wrapped >= 1.0, 0.0, wrapped)  # -1e-20 is 1.0 there


def _among(
    frac: NDArray[np.float64], numbers: NDArray[np.uint8], crystal: Crystal, tree: cKDTree
) -> bool:
    _, nearest = tree.query(_wrapped(frac))
    apart = frac - crystal.frac[nearest]
    apart -= np.round(apart)
    near = ((apart @ crystal.lattice) ** 2).sum(axis=1) < SAME_ATOM**2
    return bool((near & (crystal.numbers[nearest] == numbers)).all())


def _refuse_coincidence(crystal: Crystal) -> None:
    if len(crystal.numbers) < 2:
        return
    _, nearest = _tree(crystal.frac).query(_wrapped(crystal.frac), k=2)
    pairs = np.where(nearest[:, 0] == np.arange(len(nearest)), nearest[:, 1], nearest[:, 0])
    apart = crystal.frac - crystal.frac[pairs]
    apart -= np.round(apart)
    squares = ((apart @ crystal.lattice) ** 2).sum(axis=1)
    place = int(squares.argmin())
    if squares[place] < SAME_ATOM**2:
        names = sorted(symbol(int(crystal.numbers[at])) for at in (place, int(pairs[place])))
        raise BadCrystal(
            "partial occupancy or atoms too close: one site is filled to more than 1, with "
            + " and ".join(names)
        )
