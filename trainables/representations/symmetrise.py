"""Crystals made exactly symmetric, with every atom as an operation on one of its orbit.

Legend: N atoms of the given cell, P atoms of the primitive cell, G operations.

spglib (Togo et al. 2024, doi:10.1080/27660400.2024.2384822) finds the space group within a
tolerance; atoms are averaged over the group, in the standard primitive cell and orientation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import spglib

from trainables.crystals.crystal import Crystal
from trainables.representations.space_group import (
    PRIMITIVE,
    SpaceGroup,
    first_setting,
    space_group,
)

LADDER = (1e-2, 1e-3, 1e-4, 1e-5)  # Å, spglib's tolerances in turn
FARTHEST = 0.02  # Å that an atom, or a vector of the cell, may move
CUBIC = {"F": (225, 216), "P": (221, 215), "I": (229, 217)}  # m-3m, -43m, by centring
AT_ONCE = 1_000_000  # pairs of atoms that are compared at once


@dataclass(frozen=True)
class Symmetrised:
    """A crystal on which its group acts exactly.

    Attributes:
        crystal: the primitive cell in standard orientation; 0 ≤ coordinates < 1.
        group: its operations, which refer to that cell.
        symprec: spglib's tolerance in Å; 0 if none served and the given cell is kept, as P1.
        moved: Å that the farthest atom or vector of the conventional cell moved.
        frame: [3, 3] proper rotation of a vector in standard orientation to the given one.
        primitive: [N] atom of the primitive cell that an atom of the given cell is an image of.
        image: [G, P] atom onto which an operation carries an atom.
        cell: [G, P, 3] cells between that atom and the point onto which it is carried.
        first: [P] the first atom of an atom's orbit.
        by: [P] the operation that carries it onto the atom; 0, the identity, for itself.
    """

    crystal: Crystal
    group: SpaceGroup
    symprec: float
    moved: float
    frame: np.ndarray
    primitive: np.ndarray
    image: np.ndarray
    cell: np.ndarray
    first: np.ndarray
    by: np.ndarray


def symmetrise(crystal: Crystal) -> Symmetrised:
    """Makes a crystal exactly symmetric.

    Tolerances are tried from large to small. Where even the smallest gives no group that acts on
    the atoms, or moves more than `FARTHEST`, the given cell is kept with no symmetry.
    """
    for symprec in LADDER:
        found = within(crystal, symprec)
        if found is not None and found.moved <= FARTHEST:
            return found
    return unsymmetrised(crystal)


def unsymmetrised(crystal: Crystal) -> Symmetrised:
    """The given cell with no symmetry."""
    atoms = np.arange(len(crystal.numbers))
    return Symmetrised(
        crystal=Crystal(crystal.numbers, into_cell(crystal.frac), crystal.lattice),
        group=space_group(first_setting(1)),
        symprec=0.0,
        moved=0.0,
        frame=np.eye(3),
        primitive=atoms,
        image=atoms[None],
        cell=np.zeros((1, len(atoms), 3), np.int64),
        first=atoms,
        by=np.zeros(len(atoms), np.int64),
    )


def within(crystal: Crystal, symprec: float) -> Symmetrised | None:
    """The crystal with its group under a tolerance; None if there is none that permutes its atoms.

    spglib takes 20 ms for a small crystal whose group has 192 operations in the conventional cell,
    ten times as long as for others; so the largest cubic groups are tried before. Where they hold
    only roughly, spglib decides.
    """
    clearly = symprec / 10
    for setting in _cubic(crystal, clearly):
        made = _made(crystal, setting, symprec)
        if made is not None and made.moved <= clearly:
            return made
    found = _found(crystal, symprec)
    return None if found is None else _made(crystal, found, symprec)


@dataclass(frozen=True)
class _Setting:
    """How a crystal is described in the standard setting of a group.

    Attributes:
        standard, given: [3, 3] vectors of the conventional cell (columns) in Å, in standard
            orientation, and in that of the crystal.
        frac: [N, 3] coordinates in the primitive cell.
        primitive: [N] which atom of the primitive cell each atom is; those of one number are equal.
    """

    group: SpaceGroup
    standard: np.ndarray
    given: np.ndarray
    frac: np.ndarray
    primitive: np.ndarray


def _found(crystal: Crystal, symprec: float) -> _Setting | None:
    """What spglib finds."""
    known = (crystal.lattice.tolist(), crystal.frac.tolist(), crystal.numbers.tolist())
    try:
        found = spglib.get_symmetry_dataset(known, symprec=symprec)
    except spglib.SpglibError:
        return None
    if found is None:
        return None
    group = space_group(found.hall_number)
    conventional = crystal.frac @ found.transformation_matrix.T + found.origin_shift
    return _Setting(
        group=group,
        standard=found.std_lattice.T,
        given=crystal.lattice.T @ np.linalg.inv(found.transformation_matrix),
        frac=conventional @ group.conventional.T,
        primitive=found.mapping_to_primitive,
    )


def _cubic(crystal: Crystal, symprec: float) -> Iterator[_Setting]:
    """The largest groups of a cubic lattice, about an atom that is the only one of its element.

    It is the only one in the primitive cell, and the given cell is that or the conventional one.
    No group holds that of the lattice, and none lies between it and its subgroup m-3m → -43m. So
    one that permutes the atoms is the whole group.
    """
    reduced = spglib.niggli_reduce(crystal.lattice)
    if reduced is None:
        return
    metric = reduced @ reduced.T
    squares = metric.diagonal()
    if squares.max() - squares.min() > symprec * squares.max() ** 0.5:
        return
    reduced = reduced * np.sign(np.linalg.det(reduced))
    counts = np.bincount(crystal.numbers)[crystal.numbers]
    centre, cells = counts.argmin(), int(counts.min())
    for centring, lattice in (("F", "F"), ("I", "I"), ("P", "P"), ("F", "P"), ("I", "P")):
        given = PRIMITIVE[lattice]
        wanted = given.T @ given
        edge = float(np.sqrt(squares.mean() / wanted[0, 0]))
        times = round(np.linalg.det(given) / np.linalg.det(PRIMITIVE[centring]))
        if times != cells or np.abs(metric - edge**2 * wanted).max() > symprec * edge:
            continue
        conventional = reduced.T @ np.linalg.inv(given)
        basis = conventional @ PRIMITIVE[centring]
        apart = (crystal.frac - crystal.frac[centre]) @ crystal.lattice
        frac = apart @ np.linalg.inv(basis).T
        same = _same(frac, crystal.numbers, basis.T, symprec)
        if (same.sum(axis=1) != times).any():
            continue
        for number in CUBIC[centring]:
            group = space_group(first_setting(number))
            yield _Setting(group, edge * np.eye(3), conventional, frac, same.argmax(axis=1))


def _same(frac: np.ndarray, numbers: np.ndarray, lattice: np.ndarray, near: float) -> np.ndarray:
    """[N, N] whether two atoms are images of each other, to within some Å."""
    apart = frac[:, None] - frac
    lengths = np.linalg.norm((apart - np.rint(apart)) @ lattice, axis=-1)
    same: np.ndarray = (lengths <= near) & (numbers[:, None] == numbers)
    return same


def _made(crystal: Crystal, setting: _Setting, symprec: float) -> Symmetrised | None:
    """The crystal averaged over a group; None if that does not permute its atoms."""
    group, given = setting.group, setting.frac
    lattice = (setting.standard @ group.primitive).T
    _, chosen, primitive = np.unique(setting.primitive, return_index=True, return_inverse=True)
    numbers = crystal.numbers[chosen]
    image = _images(given[chosen], numbers, lattice, group)
    if image is None:
        return None
    first = image.min(axis=0)
    by = (image[:, first] == np.arange(len(first))).argmax(axis=0)
    frac = _averaged(given[chosen], image, group)
    frac = into_cell(_carried(frac[first], group)[by, np.arange(len(first))])
    frame, strain = _frame(setting.given, setting.standard)
    return Symmetrised(
        crystal=Crystal(numbers, frac, lattice),
        group=group,
        symprec=symprec,
        moved=max(strain, _moved(given - frac[primitive], lattice)),
        frame=frame,
        primitive=primitive,
        image=image,
        cell=np.rint(_carried(frac, group) - frac[image]).astype(np.int64),
        first=first,
        by=by,
    )


def into_cell(frac: np.ndarray) -> np.ndarray:
    """Coordinates in 0 ≤ x < 1; one just below 0 would be rounded to 1."""
    inside = frac - np.floor(frac)
    inside[inside >= 1] = 0
    return inside


def _carried(frac: np.ndarray, group: SpaceGroup) -> np.ndarray:
    """[G, P, 3] points onto which the operations carry atoms [P, 3]."""
    carried: np.ndarray = frac @ group.rotation.swapaxes(1, 2) + group.translation[:, None]
    return carried


def _images(
    frac: np.ndarray, numbers: np.ndarray, lattice: np.ndarray, group: SpaceGroup
) -> np.ndarray | None:
    """[G, P] the atom next to where an operation carries an atom; None if two share one."""
    carried = _carried(frac, group)
    image = np.empty(carried.shape[:2], dtype=np.int64)
    for number in np.unique(numbers):
        members = np.flatnonzero(numbers == number)
        step = max(1, AT_ONCE // len(members) ** 2)
        for start in range(0, len(image), step):
            part = carried[start : start + step, members]
            apart = part[:, :, None] - frac[members]
            squares = (((apart - np.rint(apart)) @ lattice) ** 2).sum(axis=-1)
            image[start : start + step, members] = members[squares.argmin(axis=-1)]
    if (np.sort(image, axis=1) != np.arange(len(frac))).any():
        return None
    return image


def _averaged(frac: np.ndarray, image: np.ndarray, group: SpaceGroup) -> np.ndarray:
    """[P, 3] means, over the operations, of what each image is carried back to."""
    carried = _carried(frac, group)
    seen = frac[image]
    seen = seen + np.rint(carried - seen) - group.translation[:, None]
    means: np.ndarray = (seen @ group.back.swapaxes(1, 2)).mean(axis=0)
    return means


def _moved(apart: np.ndarray, lattice: np.ndarray) -> float:
    """Length in Å of the longest of displacements [N, 3], without their mean: a shift of all."""
    vectors = (apart - np.rint(apart)) @ lattice
    lengths = np.linalg.norm(vectors - vectors.mean(axis=0), axis=1)
    return float(lengths.max())


def _frame(given: np.ndarray, standard: np.ndarray) -> tuple[np.ndarray, float]:
    """The rotation nearest to what leads from standard vectors (columns) to given ones.

    Returns:
        It, and by how many Å it misses the worst of them.
    """
    frame = given @ np.linalg.inv(standard)
    # Newton–Schulz: the error is squared each time. Strains of some percent are of no use anyway.
    for _ in range(5):
        frame = frame @ (3 * np.eye(3) - frame.T @ frame) / 2
    return frame, float(np.linalg.norm(frame @ standard - given, axis=0).max())
