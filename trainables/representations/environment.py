"""Local geometry of atoms as 363 numbers: eleven neighbours, and eleven neighbours of each.

Legend: N atoms, P atoms of the cell, M neighbours of the atom that has most, R = S = 11 ranks.

The published code takes of atom i its 11 nearest neighbours j, and the 11 nearest neighbours k of
each: d_ij, d_jk and the cosine of the angle i-j-k at j, 11 × 11 × 3 numbers. Which atom is the
eleventh, or comes first of two at nearly one distance, then depends on the last 1e-3 Å. Here all
numbers are continuous in the positions: the r-th smallest distance d_(r) is, whoever stands there,
and what else stands at rank r is the mean over all neighbours j with the weights
(1 - x²)³, x = (d_ij - d_(r)) / 0.5 Å, 0 beyond |x| = 1. In the same way those of j are weighted
about its s-th smallest distance. So neighbours beyond the eleventh count as far as they are near,
no shell is cut, and neither the order of atoms nor the cell nor the orientation decides. Images of
an atom count as neighbours, and i is one of the k.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.crystals.crystal import Crystal
from trainables.representations.graph import BIN_OFFSET

NEAREST = 11
WIDTH = NEAREST * NEAREST * 3
REACH = (
    0.5  # Å about a rank's distance; the weights are those of a Gaussian of 0.2 Å, but for tails
)
FIRST_RADIUS, GROWTH = 4.0, 1.5  # Å, and by how much it grows where neighbours are missing
STEPS = 1e5  # a unit; descriptions of one crystal differ by rounding noise and have the same bits


def environments(crystal: Crystal, atoms: np.ndarray, unit: float) -> np.ndarray:
    """[N, 363] float32 features of some atoms; distances divided by `unit`, in Å.

    The order is (r, s, number): d_(r), mean of d_j(s), mean of the cosine.

    Args:
        atoms: [N] of the crystal.
    """
    near = _Near.of(crystal)
    nearest_pr = near.distance[:, :NEAREST]
    weight_prm = _weights(nearest_pr, near.distance)
    # the cosine is linear in the unit vector from j to k, so that the mean over k is one vector
    mean_psx = weight_prm @ near.unit
    src_nm = near.src[atoms]
    cosine_nms = -np.einsum("nmx,nmsx->nms", near.unit[atoms], mean_psx[src_nm])
    weight_nrm = weight_prm[atoms]
    found = np.empty((len(atoms), NEAREST, NEAREST, 3))
    found[..., 0] = nearest_pr[atoms][:, :, None]
    found[..., 1] = weight_nrm @ nearest_pr[src_nm]
    found[..., 2] = weight_nrm @ cosine_nms
    found = np.floor(found * STEPS + (0.5 + BIN_OFFSET)) / STEPS
    found[..., :2] /= unit
    return found.reshape(len(atoms), WIDTH).astype(np.float32)


def _weights(nearest_pr: np.ndarray, distance_pm: np.ndarray) -> np.ndarray:
    """[P, R, M] weights of neighbours about each rank; they add up to 1."""
    apart_prm = (distance_pm[:, None, :] - nearest_pr[:, :, None]) / REACH
    weight_prm = np.clip(1 - np.square(apart_prm), 0, None) ** 3
    return np.asarray(weight_prm / weight_prm.sum(axis=2, keepdims=True))


@dataclass(frozen=True)
class _Near:
    """The neighbours of all atoms of a cell, as far as any rank weighs them.

    Attributes:
        distance: [P, M] Å, ascending; infinite where an atom has fewer.
        src: [P, M] atoms.
        unit: [P, M, 3] unit vectors to the image of src; 0 where there is none.
    """

    distance: np.ndarray
    src: np.ndarray
    unit: np.ndarray

    @classmethod
    def of(cls, crystal: Crystal) -> _Near:
        """Searches within a radius that grows until no atom lacks a neighbour."""
        atoms, radius = len(crystal.numbers), FIRST_RADIUS
        while True:
            dst, src, vector = _within(crystal, radius + REACH)
            distance = np.linalg.norm(vector, axis=1)
            if np.bincount(dst[distance <= radius], minlength=atoms).min() >= NEAREST:
                break
            radius *= GROWTH
        order = np.lexsort((distance, dst))
        dst, src, vector, distance = (one[order] for one in (dst, src, vector, distance))
        count = np.bincount(dst)
        place = np.arange(len(dst)) - np.repeat(np.cumsum(count) - count, count)
        shape = (atoms, int(count.max()))
        found = cls(np.full(shape, np.inf), np.zeros(shape, np.int64), np.zeros((*shape, 3)))
        found.distance[dst, place], found.src[dst, place] = distance, src
        found.unit[dst, place] = vector / distance[:, None]
        return found


def _within(crystal: Crystal, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dst, src and vector of all pairs within a radius, in every image that may be so near."""
    heights = 1 / np.linalg.norm(np.linalg.inv(crystal.lattice), axis=0)
    reach = np.ceil(radius / heights).astype(int)
    axes = [np.arange(-one, one + 1) for one in reach]
    cells = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    apart = crystal.frac[None, :] - crystal.frac[:, None]
    # to the nearest cell first: coordinates may differ by almost one
    vector = ((apart - np.rint(apart))[:, :, None] + cells) @ crystal.lattice
    distance = np.linalg.norm(vector, axis=-1)
    dst, src, cell = np.nonzero((distance <= radius) & (distance > 0))
    return dst, src, vector[dst, src, cell]
