"""The atoms of a slab along its normal: what its geometry says of a profile before any learning.

Legend: N atoms, L points of the grid.
"""

from __future__ import annotations

import numpy as np

from trainables.crystals.crystal import Crystal
from trainables.crystals.potentials import Grid
from trainables.crystals.slab_cell import height_of

DEVIATION = 0.7  # Å, of an atom's Gaussian


def planar_atoms(crystal: Crystal, grid: Grid) -> np.ndarray:
    """[L] 1/Å³: the atoms as Gaussians of their atomic number, averaged over planes.

    The origin is the centre of the squared density, as that of a profile is of its squared depth:
    neither the place of the slab in its cell, nor the cell, nor the amount of vacuum matters. The
    slab upside down is reversed.
    """
    height = height_of(crystal)
    z_n = _together(crystal.frac[:, 2] % 1.0) * height
    # Z finds more partners than its root among the generated materials that are learned from
    weight_n = crystal.numbers / abs(np.linalg.det(crystal.lattice)) * height
    # the square of the sum is one of Gaussians half-way between two atoms
    share_nn = np.outer(weight_n, weight_n) * np.exp(
        -np.square((z_n[:, None] - z_n) / DEVIATION) / 4
    )
    z_n -= share_nn.sum(axis=1) @ z_n / share_nn.sum()
    apart_ln = (grid.z[:, None] - z_n) / DEVIATION
    return np.asarray(
        np.exp(-np.square(apart_ln) / 2) @ weight_n / (DEVIATION * np.sqrt(2 * np.pi))
    )


def _together(places: np.ndarray) -> np.ndarray:
    """[N] fractions of a period without the widest gap between two of them."""
    ordered = np.sort(places)
    above = int(np.diff(ordered, append=ordered[0] + 1).argmax()) + 1
    if above == len(ordered):
        return places
    return np.where(places < ordered[above], places + 1, places)
