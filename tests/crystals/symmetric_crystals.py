"""Crystals of given space groups, and random ones of any symmetry."""

from __future__ import annotations

from functools import cache

import numpy as np
import spglib
from hypothesis import strategies as st

from trainables.crystals.crystal import Crystal
from trainables.representations.space_group import SpaceGroup, first_setting, space_group
from trainables.testing.crystals import crystal

# All crystal systems, centrings and kinds of point groups; chiral, polar and symmorphic ones.
GROUPS = (
    1, 2, 4, 5, 8, 12, 14, 15, 19, 29, 36, 43, 47, 62, 63, 69, 72, 82, 88, 92, 99, 122, 129, 136,
    139, 141, 146, 148, 152, 160, 164, 166, 167, 176, 180, 186, 191, 194, 198, 205, 212, 216, 221,
    223, 225, 227, 229, 230,
)  # fmt: skip
ATOMS = 40  # of a primitive cell, at most
LEAST = 1.2  # Å between atoms
# Of the first setting of each group, by which spglib standardises.
SYSTEMS = ((2, "triclinic"), (15, "monoclinic"), (74, "orthorhombic"), (142, "tetragonal"),
           (194, "hexagonal"), (230, "cubic"))  # fmt: skip
CELLS = {
    "triclinic": [[5.1, 0, 0], [1.1, 5.6, 0], [0.7, 1.3, 6.2]],
    "monoclinic": [[5.1, 0, 0], [0, 5.8, 0], [-1.4, 0, 6.3]],
    "orthorhombic": np.diag([5.1, 5.9, 6.7]),
    "tetragonal": np.diag([5.4, 5.4, 6.6]),
    "hexagonal": [[5.3, 0, 0], [-2.65, 5.3 * 0.75**0.5, 0], [0, 0, 7.1]],
    "cubic": np.diag([6.1, 6.1, 6.1]),
}


@cache
def of_group(number: int) -> Crystal:
    """A crystal of a space group and of no larger one, in its primitive cell.

    One orbit is often general; points are moved onto an axis, a plane or a centre at random.
    """
    group = space_group(first_setting(number))
    cell = np.array(CELLS[next(name for last, name in SYSTEMS if number <= last)])
    lattice = group.primitive.T @ cell * (1.5 if len(group.turn) > 12 else 1.0)
    for seed in range(2000):
        made = _drawn(group, lattice, np.random.default_rng([number, seed]))
        if made is not None and _group_of(made) == number:
            return made
    raise LookupError(f"no crystal of space group {number} was drawn")


def _drawn(group: SpaceGroup, lattice: np.ndarray, rng: np.random.Generator) -> Crystal | None:
    numbers: list[int] = []
    points: list[np.ndarray] = []
    for z in rng.permutation([8, 14, 26])[: rng.integers(2, 4)]:
        orbit = _orbit(group, _special(group, rng), lattice)
        numbers += [int(z)] * len(orbit)
        points += orbit
    if len(points) > ATOMS:
        return None
    made = crystal(numbers, points, lattice)
    apart = made.frac[:, None] - made.frac
    lengths = np.linalg.norm((apart - np.rint(apart)) @ lattice, axis=-1)
    return made if lengths[~np.eye(len(points), dtype=bool)].min(initial=9) > LEAST else None


def _special(group: SpaceGroup, rng: np.random.Generator) -> np.ndarray:
    """A point, averaged over the group that up to three operations generate about an origin."""
    point = rng.random(3)
    for operation in rng.integers(0, len(group.turn), rng.integers(0, 4)):
        images = [point]
        for _ in range(5):
            rotation, translation = group.rotation[operation], group.translation[operation]
            images.append(rotation @ images[-1] + translation)
        order = next(
            k for k in range(1, 7) if (np.linalg.matrix_power(
                group.rotation[operation], k) == np.eye(3)).all())  # fmt: skip
        point = np.mean(images[:order], axis=0)
    return point


def _orbit(group: SpaceGroup, point: np.ndarray, lattice: np.ndarray) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    for image in group.rotation @ point + group.translation:
        apart = [image - other - np.rint(image - other) for other in found]
        if all(np.linalg.norm(one @ lattice) > 1e-3 for one in apart):
            found.append(image - np.floor(image))
    return found


def _group_of(made: Crystal) -> int:
    found = spglib.get_symmetry_dataset((made.lattice, made.frac, made.numbers), symprec=1e-2)
    return 0 if found is None else int(found.number)


LATTICES = (
    4.0 * np.eye(3),
    np.diag([4.0, 4.0, 6.5]),
    2.9 * (1 - np.eye(3)),
    np.array([[4.0, 0.0, 0.0], [-2.0, 12**0.5, 0.0], [0.0, 0.0, 5.0]]),
    np.array([[4.0, 0.3, 0.0], [-0.9, 4.4, 0.2], [0.5, 0.7, 5.1]]),
)


@st.composite
def gridded_crystals(draw: st.DrawFn) -> Crystal:
    """Atoms on a grid of a few lattices: from cubic to accidental symmetry."""
    points = st.tuples(*[st.integers(0, 3)] * 3)
    places = draw(st.lists(points, min_size=1, max_size=7, unique=True))
    elements = st.sampled_from([1, 8, 26])
    numbers = draw(st.lists(elements, min_size=len(places), max_size=len(places)))
    return crystal(numbers, np.array(places) / 4, draw(st.sampled_from(LATTICES)))
