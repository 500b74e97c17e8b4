"""Small crystals of all symmetries, and transformations of them under which nothing may change."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from trainables.crystals.crystal import Crystal
from trainables.crystals.prototypes import Prototype, prototypes


def crystal(numbers: Sequence[int] | np.ndarray, frac: object, lattice: object) -> Crystal:
    return Crystal(
        np.array(numbers, dtype=np.uint8),
        np.array(frac, dtype=np.float64).reshape(-1, 3),
        np.array(lattice, dtype=np.float64),
    )


@cache
def _prototypes() -> dict[str, Prototype]:
    return {prototype.name: prototype for prototype in prototypes()}


def filled(name: str, elements: Sequence[int] | np.ndarray, a: float) -> Crystal:
    """A structure type with an element in each role and the edge `a` in Å."""
    prototype = _prototypes()[name]
    return crystal(np.array(elements)[prototype.roles], prototype.frac, a * prototype.lattice)


def triclinic(
    atoms: int, seed: int, edge: float = 5.0, elements: Sequence[int] = (1, 8, 14, 26, 82)
) -> Crystal:
    """Random atoms in a random cell, at least 0.7 Å apart: no symmetry at all."""
    rng = np.random.default_rng(seed)
    while True:
        lattice = np.eye(3) * edge + rng.uniform(-0.3, 0.3, (3, 3)) * edge
        frac = rng.random((atoms, 3))
        made = crystal(rng.choice(elements, atoms), frac, lattice)
        if not any(distance < 0.7 for _, _, distance in pairs(made, 0.7)):
            return made


def named_crystals() -> dict[str, Crystal]:
    """High and low symmetry, few neighbours and none."""
    conventional = [(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]
    hexagonal = np.array([[1, 0, 0], [-0.5, 3**0.5 / 2, 0], [0, 0, 1]])
    layers = [(0, 0, 0), (1 / 3, 2 / 3, 0), (0, 0, 0.5), (2 / 3, 1 / 3, 0.5)]
    return {
        "NaCl": crystal(
            [11] * 4 + [17] * 4,
            [*conventional, *(np.array(conventional) + np.array([0.5, 0, 0]))],
            5.64 * np.eye(3),
        ),
        "Cu": crystal([29] * 4, conventional, 3.61 * np.eye(3)),
        "graphite": crystal([6] * 4, layers, hexagonal * np.array([[2.46], [2.46], [6.71]])),
        "SrTiO3": filled("perovskite", (38, 22, 8), 3.905),
        "ZnO": filled("wurtzite", (30, 8), 3.25),
        "MgAl2O4": filled("spinel", (12, 13, 8), 8.08),
        "TiO2": filled("rutile", (22, 8), 4.59),
        "triclinic": triclinic(7, seed=3),
        # six neighbours at 7 Å, none at 4 Å
        "isolated": crystal([10], [(0.1, 0.2, 0.3)], 7.0 * np.eye(3)),
    }


def pairs(crystal: Crystal, radius: float) -> list[tuple[int, int, float]]:
    """All (i, j, distance) within a radius, by trying every image: slow and simple."""
    frac = crystal.frac - np.floor(crystal.frac)
    heights = 1 / np.linalg.norm(np.linalg.inv(crystal.lattice), axis=0)
    reach = np.ceil(radius / heights).astype(int) + 1
    steps = np.stack(
        np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), axis=-1
    ).reshape(-1, 3)
    found: list[tuple[int, int, float]] = []
    for i in range(len(frac)):
        for j in range(len(frac)):
            distances = np.linalg.norm((frac[j] - frac[i] + steps) @ crystal.lattice, axis=1)
            near = distances[(distances <= radius) & ((i != j) | steps.any(axis=1))]
            found.extend((i, j, float(distance)) for distance in near)
    return found


def listed_anew(crystal: Crystal, seed: int = 0) -> Crystal:
    """The same crystal with its atoms in another order."""
    order = np.random.default_rng(seed).permutation(len(crystal.numbers))
    return Crystal(crystal.numbers[order], crystal.frac[order], crystal.lattice)


def rotated(crystal: Crystal, seed: int = 0) -> Crystal:
    """The crystal rotated at random."""
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    return Crystal(crystal.numbers, crystal.frac, crystal.lattice @ turn)


def in_cell(crystal: Crystal, cell: object) -> Crystal:
    """The same crystal in another cell, whose rows are integer sums of the old vectors."""
    matrix = np.array(cell)
    inverse = np.linalg.inv(matrix)
    size = int(np.abs(matrix).sum())
    grid = np.stack(np.meshgrid(*[np.arange(-size, size + 1)] * 3, indexing="ij"), axis=-1)
    shifts = grid.reshape(-1, 3) @ inverse
    inside = shifts[((shifts > -1e-9) & (shifts < 1 - 1e-9)).all(axis=1)]
    assert len(inside) == round(abs(np.linalg.det(matrix)))
    frac = np.concatenate([crystal.frac @ inverse + shift for shift in inside])
    return Crystal(np.tile(crystal.numbers, len(inside)), frac, matrix @ crystal.lattice)


_TYPES = (
    ("rocksalt", 2, 5.6), ("cscl", 2, 4.1), ("zincblende", 2, 5.4), ("fluorite", 2, 5.5),
    ("perovskite", 3, 3.9), ("wurtzite", 2, 3.3), ("rutile", 2, 4.6), ("cuprite", 2, 4.3),
)  # fmt: skip


@cache
def made_up(crystals: int) -> tuple[Crystal, ...]:
    """Structure types with random elements and edges; the same every time."""
    rng = np.random.default_rng(7)
    made = []
    for index in range(crystals):
        name, roles, edge = _TYPES[index % len(_TYPES)]
        elements = rng.choice([3, 8, 9, 11, 12, 17, 20, 22, 30, 38], roles, replace=False)
        made.append(filled(name, elements, edge * rng.uniform(0.9, 1.1)))
    return tuple(made)
