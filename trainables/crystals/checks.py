"""Does a parsed crystal make physical sense? Whatever does not raises BadCrystal.

Shape letters: N atoms of one crystal, E neighbour pairs of it.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from trainables.crystals.crystal import BadCrystal, Crystal
from trainables.crystals.symbols import MAX_Z, symbol

MIN_DISTANCE = 0.5  # Å; no two nuclei come this near in any crystal (H2 has 0.74)
MAX_ATOMS = 1000
_MOST_IMAGES, _MOST_PAIRS = 1000, 3e7  # that are compared within seconds
_BLOCK = 64  # atoms compared at once with all others, to bound the memory of closest_pair


def check(crystal: Crystal, max_atoms: int = MAX_ATOMS) -> None:
    """Everything but the distances: atoms, elements, finite numbers, cell.

    Distances are left to `check_distances` because the neighbour lists, which the graph needs
    anyway, hold them.

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


def check_distances(
    numbers: NDArray[np.uint8],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    distance: NDArray[np.float64],
) -> None:
    """Refuses atoms closer than 0.5 Å, given neighbour pairs of one crystal.

    Args:
        numbers: [N] atomic numbers.
        first, second: [E] atom indices from 0.
        distance: [E] in Å, periodic images included, an atom's pair with itself in the same cell
            left out.

    Raises:
        BadCrystal: two atoms are too close; the closest pair is named, atoms counted from 1.
    """
    if distance.size == 0:
        return
    place = int(distance.argmin())
    if distance[place] >= MIN_DISTANCE:
        return
    i, j = sorted((int(first[place]), int(second[place])))
    raise BadCrystal(
        f"atoms too close: {symbol(int(numbers[i]))}{i + 1} and {symbol(int(numbers[j]))}{j + 1} "
        f"are {distance[place]:.3f} Å apart, at least {MIN_DISTANCE} Å is needed"
    )


def check_closest(crystal: Crystal) -> None:
    """`check_distances` for a caller without neighbour lists.

    Raises:
        BadCrystal: two atoms are too close.
    """
    i, j, distance = closest_pair(crystal)
    check_distances(crystal.numbers, np.array([i]), np.array([j]), np.array([distance]))


def closest_pair_is_near(crystal: Crystal) -> bool:
    """Whether `closest_pair` takes seconds at most; in a skewed cell its images have no bound."""
    images = float(np.prod(2.0 * _reach(crystal.lattice) + 1))
    return images <= _MOST_IMAGES and images * len(crystal.numbers) ** 2 <= _MOST_PAIRS


def _reach(lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """[3] images to each side among which the closest pair is, for differences in [-1/2, 1/2]."""
    heights = 1.0 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    shortest = float(np.linalg.norm(lattice, axis=1).min())
    # An image n steps away is (n - 1/2) heights off.
    return np.floor(shortest / heights + 0.5)


def closest_pair(crystal: Crystal) -> tuple[int, int, float]:
    """The two nearest atoms (i ≤ j, 0-based; i = j for an atom and its image) and their Å.

    Exact for any cell with finite numbers and non-zero volume; of equal pairs the first is given.
    """
    lattice = crystal.lattice
    frac = crystal.frac - np.floor(crystal.frac)
    reach = _reach(lattice).astype(int)
    images = np.array(list(itertools.product(*(range(-r, r + 1) for r in reach))), dtype=float)
    home = int(np.flatnonzero(~images.any(axis=1))[0])
    best = (0, 0, np.inf)
    for start in range(0, len(frac), _BLOCK):
        block = frac[start : start + _BLOCK, None] - frac[None]
        block -= np.round(block)
        for place, image in enumerate(images):
            vectors = (block + image) @ lattice
            squares = np.einsum("ijk,ijk->ij", vectors, vectors)
            if place == home:
                rows = np.arange(len(squares))
                squares[rows, rows + start] = np.inf
            flat = int(squares.argmin())
            i, j = divmod(flat, len(frac))
            distance = float(np.sqrt(squares[i, j]))
            if distance < best[2] - 1e-12:
                best = (min(i + start, j), max(i + start, j), distance)
    return best
