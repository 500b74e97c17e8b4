"""Small slabs and what may not change their embeddings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trainables.crystals.crystal import Crystal
from trainables.models.options import ContrastOptions
from trainables.representations.slab_graph import SlabGraph
from trainables.testing.crystals import crystal, in_cell, listed_anew, rotated

SLABS = SlabGraph(name="slabs-r8", version=1, cutoff=8.0, max_neighbours=None)
HEXAGONAL = np.array([[3.2, 0, 0], [-1.6, 1.6 * 3**0.5, 0], [0, 0, 24.0]])
SHIFT, MIRROR = np.array([0.31, 0.17, -0.4]), np.array([1.0, 1.0, -1.0])
SMALL = ContrastOptions(elements=8, width=16, hidden=24, channels=6, filters=4, dim=12)


def slabs() -> dict[str, Crystal]:
    """Monolayers with and without a mirror, a slab of two layers, and one of no symmetry."""
    layer = [(1 / 3, 2 / 3, 0.5), (2 / 3, 1 / 3, 0.565), (2 / 3, 1 / 3, 0.435)]
    half = [(0, 0, 0.4), (0.5, 0.5, 0.4), (0, 0, 0.52), (0.5, 0.5, 0.52)]
    return {
        "MoS2": crystal([42, 16, 16], layer, HEXAGONAL),
        "MoSSe": crystal([42, 16, 34], layer, HEXAGONAL),
        "polar": crystal([55, 17, 17, 17], half, np.diag([4.0, 4.0, 25.0])),
        "low": crystal(
            [3, 9, 8],
            [(0.1, 0.2, 0.5), (0.52, 0.61, 0.47), (0.8, 0.33, 0.55)],
            [[4.1, 0, 0], [0.7, 5.0, 0], [0, 0, 22.0]],
        ),
    }


CHANGES: dict[str, Callable[[Crystal], Crystal]] = {
    "rotation": lambda one: rotated(one, 4),
    "reflection": lambda one: Crystal(one.numbers, one.frac, one.lattice * MIRROR),
    "origin": lambda one: Crystal(one.numbers, one.frac + SHIFT, one.lattice),
    "order": lambda one: listed_anew(one, 4),
    "supercell": lambda one: in_cell(one, [[2, 0, 0], [1, 1, 0], [0, 0, 1]]),
}
