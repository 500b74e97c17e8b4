"""Local geometry of atoms as 363 numbers: eleven neighbours, and eleven neighbours of each.

Legend: N atoms, P atoms of the cell, Q pairs, M pairs of the atom that has most.

Of atom i, its 11 nearest neighbours j, and the 11 nearest neighbours k of each of them: d_ij, d_jk
and the cosine of the angle i-j-k at j, 11 × 11 × 3 numbers. Images of an atom count as neighbours,
and i is one of the k. The published code pads with zeros what its cell does not hold, so that the
numbers depend on the cell; here the search grows until there are eleven.

Neighbours at one distance have no order of their own. Whole shells are candidates: they are sorted
by what they contribute, and cut at eleven then, so that neither the order of atoms, nor the cell,
nor the orientation decides. Numbers are in steps of 1e-3, as distances in `graph.py` are, so that
all descriptions of a crystal give the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.crystals.crystal import Crystal
from trainables.representations.graph import PER_ANGSTROM, milli

NEAREST = 11
WIDTH = NEAREST * NEAREST * 3
FIRST_RADIUS, GROWTH = 4.0, 1.5  # Å, and by how much it grows where neighbours are missing
COSINES = 1 << 12  # a distance and a cosine are one integer, whose last twelve bits are the cosine
NONE = np.iinfo(np.int64).max


def environments(crystal: Crystal, atoms: np.ndarray, unit: float) -> np.ndarray:
    """[N, 363] float32 features of some atoms; distances divided by `unit`, in Å.

    The order is (j, k, number): d_ij ascending, then d_jk ascending, then the cosine.

    Args:
        atoms: [N] of the crystal, ascending.
    """
    pairs = _Pairs.of(crystal)
    first = np.concatenate([np.arange(*pairs.ptr[[atom, atom + 1]]) for atom in atoms])
    second = pairs.beyond(first)
    order = np.lexsort((*second.T[::-1], pairs.step[first], pairs.dst[first]))
    place = np.concatenate([np.arange(count) for count in np.diff(pairs.ptr)[atoms]])
    kept = order[place < NEAREST]
    block = second[kept]
    found = np.empty((len(kept), NEAREST, 3))
    found[:, :, 0] = pairs.step[first][kept, None] / unit
    found[:, :, 1] = block // COSINES / unit
    found[:, :, 2] = block % COSINES - COSINES // 2
    return (found / PER_ANGSTROM).reshape(len(atoms), WIDTH).astype(np.float32)


@dataclass(frozen=True)
class _Pairs:
    """The neighbours of all atoms of a cell, in whole shells up to the eleventh of each.

    Attributes:
        ptr: [P+1] where the pairs of each atom start.
        dst, src: [Q] atoms; vector: [Q, 3] Å from dst to the image of src.
        step: [Q] distances in 1e-3 Å, ascending for each dst.
    """

    ptr: np.ndarray
    dst: np.ndarray
    src: np.ndarray
    vector: np.ndarray
    step: np.ndarray

    @classmethod
    def of(cls, crystal: Crystal) -> _Pairs:
        """Searches within a radius that grows until no atom lacks a neighbour."""
        atoms, radius = len(crystal.numbers), FIRST_RADIUS
        while True:
            dst, src, vector = _within(crystal, radius)
            step = milli(np.linalg.norm(vector, axis=1))
            whole = step < milli(np.array(radius))  # the sphere cuts the last step
            dst, src, vector, step = (one[whole] for one in (dst, src, vector, step))
            count = np.bincount(dst, minlength=atoms)
            if count.min() >= NEAREST:
                break
            radius *= GROWTH
        order = np.lexsort((step, dst))
        dst, src, vector, step = (one[order] for one in (dst, src, vector, step))
        last = step[np.cumsum(count) - count + NEAREST - 1]
        near = step <= last[dst]
        ptr = np.concatenate([[0], np.cumsum(np.bincount(dst[near]))])
        return cls(ptr, dst[near], src[near], vector[near], step[near])

    def beyond(self, chosen: np.ndarray) -> np.ndarray:
        """[chosen, 11] for each pair i-j the neighbours k of j: d_jk and the cosine, ascending."""
        most = int(np.diff(self.ptr).max())
        middle = self.src[chosen]
        place = self.ptr[middle][:, None] + np.arange(most)
        there = place < self.ptr[middle + 1][:, None]
        place = np.where(there, place, 0)
        unit = self.vector / np.linalg.norm(self.vector, axis=1, keepdims=True)
        cosine = -np.einsum("qx,qmx->qm", unit[chosen], unit[place])
        key = self.step[place] * COSINES + milli(cosine) + COSINES // 2
        key = np.where(there, key, NONE)
        key.sort(axis=1)
        found: np.ndarray = key[:, :NEAREST]
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
