"""Checks whether a parsed crystal makes physical sense; raises BadCrystal if not.

Shape letters: N atoms of one crystal, E neighbour pairs of it.
"""

from __future__ import annotations

import csv
import itertools
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from trainables.crystals.crystal import BadCrystal, Crystal
from trainables.crystals.symbols import MAX_Z, symbol

MIN_DISTANCE = 0.5  # Å; no two nuclei come this near in any crystal (H2 has 0.74)
# Smallest distance of two atoms relative to the sum of their covalent radii; docs/results.md has
# the values of real crystals, including those under pressure.
LEAST_SHARE = 0.5
MAX_ATOMS = 1000
_MOST_IMAGES, _MOST_PAIRS = 1000, 3e7  # can be compared within seconds
_BLOCK = 64  # atoms compared at once with all others, bounds the memory of closest_pair


def check(crystal: Crystal, max_atoms: int = MAX_ATOMS) -> None:
    """Checks everything but the distances: atoms, elements, finite numbers, cell.

    Distances are left to `check_distances`, which uses the neighbour lists that the graph needs
    anyway.

    Args:
        max_atoms: of one cell.

    Raises:
        BadCrystal: something is wrong.
    """
    count = len(crystal.numbers)
    if count == 0:
        raise BadCrystal("no atoms: the structure is empty")
    if count > max_atoms:
        raise BadCrystal(f"too many atoms: {count} of at most {max_atoms}, raise it by --max-atoms")
    low, high = int(crystal.numbers.min()), int(crystal.numbers.max())
    if low < 1 or high > MAX_Z:
        raise BadCrystal(f"unknown element: atomic number {low if low < 1 else high}")
    if not np.isfinite(crystal.lattice).all():
        raise BadCrystal("lattice is not finite: a cell vector holds NaN or infinity")
    broken = ~np.isfinite(crystal.frac).all(axis=1)
    if broken.any():
        place = int(broken.argmax())
        name = symbol(int(crystal.numbers[place]))
        raise BadCrystal(f"coordinates are not finite: atom {place + 1} ({name})")
    if (np.abs(crystal.frac) > 1e6).any():
        raise BadCrystal("coordinates out of range: a fractional coordinate is beyond a million")
    _check_cell(crystal.lattice)


def _check_cell(lattice: NDArray[np.float64]) -> None:
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = lattice.tolist()
    bc = (by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx)
    ca = (cy * az - cz * ay, cz * ax - cx * az, cx * ay - cy * ax)
    ab = (ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)
    volume = abs(ax * bc[0] + ay * bc[1] + az * bc[2])
    if not volume > 1e-6:
        raise BadCrystal("zero volume: the cell's vectors lie in one plane")
    for name, (x, y, z) in zip("abc", (bc, ca, ab), strict=True):
        height = volume / (x * x + y * y + z * z) ** 0.5
        if not height >= MIN_DISTANCE:
            raise BadCrystal(
                f"cell too thin: {height:.3g} Å along {name}, at least {MIN_DISTANCE} Å is needed"
            )


@cache
def covalent_sums() -> NDArray[np.float64]:
    """[119, 119] sums of two elements' covalent radii in Å, by atomic numbers; row 0 is unused.

    Source: P. Pyykkö and M. Atsumi, Chem. Eur. J. 15, 186 (2009), doi:10.1002/chem.200800987, table
    1 (single bonds), as `scripts/make_covalent_radii.py` writes it.
    """
    text = resources.files("trainables.crystals").joinpath("covalent_radii.csv").read_text()
    radii = np.zeros(MAX_Z + 1)
    radii[1:] = [float(row["radius_pm"]) / 100 for row in csv.DictReader(text.splitlines())]
    return radii[:, None] + radii[None]


@cache
def least_distances() -> NDArray[np.float64]:
    """[119, 119] smallest accepted distances of two elements' atoms in Å, by atomic numbers."""
    return np.maximum(LEAST_SHARE * covalent_sums(), MIN_DISTANCE)


def check_distances(
    numbers: NDArray[np.uint8],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    distance: NDArray[np.float64],
) -> None:
    """Refuses atoms closer than `least_distances`, given neighbour pairs of one crystal.

    Args:
        numbers: [N] atomic numbers.
        first, second: [E] atom indices from 0.
        distance: [E] in Å, periodic images included, an atom's pair with itself in the same cell
            left out.

    Raises:
        BadCrystal: two atoms are too close; the pair that is nearest for its elements is named,
            atoms counted from 1.
    """
    if distance.size == 0:
        return
    least = least_distances()[numbers[first], numbers[second]]
    place = int((distance / least).argmin())
    if distance[place] >= least[place]:
        return
    i, j = sorted((int(first[place]), int(second[place])))
    raise BadCrystal(
        f"atoms too close: {symbol(int(numbers[i]))}{i + 1} and {symbol(int(numbers[j]))}{j + 1} "
        f"are {distance[place]:.3f} Å apart, at least {least[place]:.3g} Å is needed"
    )


def check_closest(crystal: Crystal) -> None:
    """`check_distances` for a caller without neighbour lists.

    Raises:
        BadCrystal: two atoms are too close.
    """
    i, j, distance = closest_pair(crystal)
    check_distances(crystal.numbers, np.array([i]), np.array([j]), np.array([distance]))


def closest_pair_is_near(crystal: Crystal) -> bool:
    """Whether `closest_pair` takes seconds at most; a skewed cell needs any number of images."""
    images = float(np.prod(2.0 * _reach(crystal) + 1))
    return images <= _MOST_IMAGES and images * len(crystal.numbers) ** 2 <= _MOST_PAIRS


def _reach(crystal: Crystal) -> NDArray[np.float64]:
    """[3] images to each side that may contain the pair, for differences in [-1/2, 1/2]."""
    heights = 1.0 / np.linalg.norm(np.linalg.inv(crystal.lattice), axis=0)
    shortest = float(np.linalg.norm(crystal.lattice, axis=1).min())
    elements = np.unique(crystal.numbers)
    farthest = max(shortest, float(least_distances()[np.ix_(elements, elements)].max()))
    # An image n steps away is (n - 1/2) heights away.
    return np.floor(farthest / heights + 0.5)


def closest_pair(crystal: Crystal) -> tuple[int, int, float]:
    """The two atoms nearest for their elements (i ≤ j, 0-based; i = j for an atom and its image).

    Nearest means the smallest multiple of `least_distances`. Exact if any pair is below them, or if
    all atoms are of one element, for any cell with finite numbers and non-zero volume; of equal
    pairs the first is returned. The third number is the distance in Å.
    """
    lattice = crystal.lattice
    frac = crystal.frac - np.floor(crystal.frac)
    reach = _reach(crystal).astype(int)
    images = np.array(list(itertools.product(*(range(-r, r + 1) for r in reach))), dtype=float)
    home = int(np.flatnonzero(~images.any(axis=1))[0])
    best, smallest = (0, 0, np.inf), np.inf
    for start in range(0, len(frac), _BLOCK):
        block = frac[start : start + _BLOCK, None] - frac[None]
        block -= np.round(block)
        numbers = crystal.numbers[start : start + _BLOCK]
        least = least_distances()[np.ix_(numbers, crystal.numbers)] ** 2
        for place, image in enumerate(images):
            vectors = (block + image) @ lattice
            squares = np.einsum("ijk,ijk->ij", vectors, vectors)
            if place == home:
                rows = np.arange(len(squares))
                squares[rows, rows + start] = np.inf
            shares = squares / least
            flat = int(shares.argmin())
            i, j = divmod(flat, len(frac))
            if shares[i, j] < smallest * (1 - 1e-9):
                smallest = float(shares[i, j])
                best = (min(i + start, j), max(i + start, j), float(np.sqrt(squares[i, j])))
    return best
