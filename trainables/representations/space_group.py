"""The operations of a space group in its standard setting, and the 64 rotations that they have.

Legend: G operations of a group without translations of the lattice.

In the standard orientation (a along x, b in the plane of x and y; the unique axis of a monoclinic
crystal along y, the threefold axis of a trigonal or hexagonal one along z) the rotations of all
space groups are among 64: the 48 of a cube and the 24 of a hexagonal prism, which share 8. So a
number says what an operation does to a vector, and 64 bits are a site's group.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import permutations, product

import numpy as np
import spglib

SETTINGS = 530
HEXAGONAL = np.array([[1.0, -0.5, 0.0], [0.0, 0.75**0.5, 0.0], [0.0, 0.0, 1.0]])
# Primitive vectors (columns) in those of the conventional cell, by the letter of the centring;
# obverse for R. International Tables for Crystallography A (2016), 10.1107/97809553602060000114.
PRIMITIVE = {
    "P": np.eye(3),
    "A": np.array([[2, 0, 0], [0, 1, -1], [0, 1, 1]]) / 2,
    "C": np.array([[1, 1, 0], [-1, 1, 0], [0, 0, 2]]) / 2,
    "I": np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / 2,
    "F": np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2,
    "R": np.array([[2, -1, -1], [1, 1, -2], [1, 1, 1]]) / 3,
}


@cache
def turns() -> np.ndarray:
    """[64, 3, 3] the rotations, proper and improper; the first is the identity."""
    cubic = [
        np.array(signs)[:, None] * np.eye(3)[list(order)]
        for order in permutations(range(3))
        for signs in product((1.0, -1.0), repeat=3)
    ]
    found = list(cubic)
    cosine, sine = 0.5, 0.75**0.5
    sixth = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    for step, signs in product(range(6), product((1.0, -1.0), repeat=3)):
        one = np.linalg.matrix_power(sixth, step) * np.array(signs)
        if all(np.abs(one - other).max() > 0.1 for other in found):
            found.append(_exact(one))
    return np.array(found)


def _exact(matrix: np.ndarray) -> np.ndarray:
    """A matrix of 0, 1/2, √3/2 and 1 without the rounding of a product."""
    values = np.array([0, 0.5, 0.75**0.5, 1])
    nearest = np.abs(np.abs(matrix)[..., None] - values).argmin(axis=-1)
    exact: np.ndarray = np.sign(matrix) * values[nearest]
    return exact


def turn_of(rotations: np.ndarray) -> np.ndarray:
    """[G] uint8 places among `turns` of Cartesian rotations [G, 3, 3].

    Raises:
        ValueError: one is not among them: the orientation is another.
    """
    apart = np.abs(rotations[:, None] - turns()).max(axis=(2, 3))
    if (apart.min(axis=1) > 1e-6).any():
        raise ValueError("an operation that no crystal in standard orientation has")
    return apart.argmin(axis=1).astype(np.uint8)


@dataclass(frozen=True)
class SpaceGroup:
    """The operations of a setting in its primitive cell, one of each coset of the lattice.

    Attributes:
        number: of the space group.
        primitive: [3, 3] vectors of the primitive cell (columns) in those of the conventional one.
        conventional: [3, 3] the inverse.
        rotation: [G, 3, 3] integers, on fractional coordinates of the primitive cell.
        back: [G, 3, 3] their inverses.
        translation: [G, 3] in 0 ≤ t < 1.
        turn: [G] uint8 places among `turns`; the first operation is the identity.
    """

    number: int
    primitive: np.ndarray
    conventional: np.ndarray
    rotation: np.ndarray
    back: np.ndarray
    translation: np.ndarray
    turn: np.ndarray


@cache
def first_setting(number: int) -> int:
    """spglib's first setting of a space group: the one to which it standardises."""
    kinds = ((hall, spglib.get_spacegroup_type(hall)) for hall in range(1, SETTINGS + 1))
    return next(hall for hall, kind in kinds if kind is not None and kind.number == number)


@cache
def space_group(hall: int) -> SpaceGroup:
    """The group of one of spglib's 530 settings that `get_symmetry_dataset` standardises to.

    Raises:
        ValueError: there is no such setting.
    """
    kind, listed = spglib.get_spacegroup_type(hall), spglib.get_symmetry_from_database(hall)
    if kind is None or listed is None:
        raise ValueError(f"spglib has no setting {hall}")
    # Centring repeats each rotation; the first of each is kept.
    first = np.sort(np.unique(listed["rotations"].reshape(-1, 9), axis=0, return_index=True)[1])
    rotation, translation = listed["rotations"][first], listed["translations"][first]
    primitive = PRIMITIVE[kind.international_short[0]]
    inverse = np.linalg.inv(primitive)
    basis = HEXAGONAL if 143 <= kind.number <= 194 else np.eye(3)
    moved = translation @ inverse.T
    integers = np.rint(inverse @ rotation @ primitive)
    return SpaceGroup(
        number=kind.number,
        primitive=primitive,
        conventional=inverse,
        rotation=integers.astype(np.int64),
        back=np.rint(np.linalg.inv(integers)).astype(np.int64),
        translation=moved - np.floor(moved + 1e-9),
        turn=turn_of(basis @ rotation @ np.linalg.inv(basis)),
    )
