"""Finds the neighbours of every atom.

Legend: B crystals, N atoms, P pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pymatgen.optimization.neighbors import find_points_in_spheres

from trainables.crystals.crystal import Crystal
from trainables.representations.graph import PER_ANGSTROM, CrystalGraph, Neighbours, milli
from trainables.representations.quotient import DISTANCE_BITS, INDEX_BITS, NUMBER_BITS, fits, low

PERIODIC = np.ones(3, dtype=np.int64)


def find_neighbours(crystals: Sequence[Crystal], kinds: Sequence[CrystalGraph]) -> Neighbours:
    """Finds every pair of atoms that any kind can need, including an atom and its images.

    Shifts are there if a kind keeps atoms; pairs that differ in nothing else are sorted by them.
    """
    shifted = any(kind.keeps_atoms for kind in kinds)
    if not crystals:
        return _none(shifted)
    sizes = np.array([len(crystal.numbers) for crystal in crystals], dtype=np.int64)
    node_ptr = np.concatenate([[0], np.cumsum(sizes)])
    z = np.concatenate([crystal.numbers for crystal in crystals]).astype(np.int64)
    found = _search(crystals, sizes, kinds)
    base, src = node_ptr[:-1].repeat(found.pairs), found.src
    # Each atom also finds itself.
    others = np.flatnonzero((found.dst != src) | found.offset.any(axis=1))
    base, src = base[others], src[others]
    dst, distance = found.dst[others] + base, milli(found.distance[others])
    if not fits(int(node_ptr[-1]), int(sizes.max()), int(distance.max(initial=0))):
        raise ValueError(
            f"{node_ptr[-1]} atoms, {sizes.max()} in one crystal, cutoffs "
            f"{[kind.cutoff for kind in kinds]} Å: at most 2^24, 2^16 and 16.38 Å can be sorted"
        )
    key = dst << DISTANCE_BITS | distance
    key = (key << NUMBER_BITS | z[src + base]) << INDEX_BITS | src
    frac, over = _wrapped(crystals)
    shift = None
    if shifted:
        shift = np.rint(found.offset[others]).astype(np.int64) + over[src + base] - over[dst]
        order = np.lexsort((*shift.T[::-1], key))
        key, shift = key[order], shift[order]
    else:
        key.sort()
    src = key & low(INDEX_BITS)
    key >>= NUMBER_BITS + INDEX_BITS
    dst, distance = key >> DISTANCE_BITS, key & low(DISTANCE_BITS)
    src += node_ptr[:-1].repeat(sizes)[dst]
    lattice = np.array([crystal.lattice for crystal in crystals], dtype=np.float64)
    return Neighbours(node_ptr, z, dst, src, distance, lattice, frac, shift, find_neighbours)


def _none(shifted: bool) -> Neighbours:
    none = np.zeros(0, dtype=np.int64)
    ptr, lattice, frac = np.zeros(1, dtype=np.int64), np.zeros((0, 3, 3)), np.zeros((0, 3))
    shift = np.zeros((0, 3), dtype=np.int64) if shifted else None
    return Neighbours(ptr, none, none, none, none, lattice, frac, shift, find_neighbours)


def _wrapped(crystals: Sequence[Crystal]) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates [N, 3] in 0 ≤ x < 1, and by how many cells [N, 3] `_within` has them higher.

    A coordinate just below 0 is rounded to 1, not 0, when 1 is added to it.
    """
    frac = np.concatenate([_into_cell(crystal) for crystal in crystals])
    over = np.floor(frac).astype(np.int64)
    return frac - over, over


def _into_cell(crystal: Crystal) -> np.ndarray:
    frac: np.ndarray = crystal.frac - np.floor(crystal.frac)
    return frac


@dataclass(frozen=True)
class _Found:
    """Pairs [P] of many crystals, including each atom with itself, by crystal.

    Attributes:
        pairs: [B] number of pairs of each crystal.
        dst, src: atoms within the crystal; offset: [P, 3] cells; distance: in Å.
    """

    pairs: np.ndarray
    dst: np.ndarray
    src: np.ndarray
    offset: np.ndarray
    distance: np.ndarray

    @classmethod
    def join(cls, parts: Sequence[tuple[np.ndarray, ...]]) -> _Found:
        pairs = np.array([len(part[0]) for part in parts], dtype=np.int64)
        return cls(pairs, *(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _search(
    crystals: Sequence[Crystal], sizes: np.ndarray, kinds: Sequence[CrystalGraph]
) -> _Found:
    """All pairs that the kinds can need: within a radius that usually suffices, or else all."""
    wanted = max(kind.cutoff for kind in kinds) + 2 / PER_ANGSTROM
    first = _first_radii(crystals, sizes, kinds)
    parts = [_within(crystal, r) for crystal, r in zip(crystals, first.tolist(), strict=True)]
    found = _Found.join(parts)
    most = max((kind.max_neighbours or 0 for kind in kinds), default=0)
    short = np.flatnonzero((_fewest(found, sizes, first) < most) & (first < wanted))
    if not len(short):
        return found
    for number in short.tolist():
        parts[number] = _within(crystals[number], wanted)
    return _Found.join(parts)


def _fewest(found: _Found, sizes: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """[B] neighbours of the atom that has the fewest.

    The last bin of distances is cut by the sphere and not counted: a tie may lie just outside.
    """
    first = np.cumsum(sizes) - sizes
    whole = found.distance < (radii - 1 / PER_ANGSTROM).repeat(found.pairs)
    atoms = (found.dst + first.repeat(found.pairs))[whole]
    counts = np.bincount(atoms, minlength=int(sizes.sum())) - 1  # without the atom itself
    return np.asarray(np.minimum.reduceat(counts, first))


def _within(crystal: Crystal, radius: float) -> tuple[np.ndarray, ...]:
    """dst, src, offset and distance of all pairs within a radius."""
    lattice = np.ascontiguousarray(crystal.lattice, dtype=np.float64)
    cartesian = np.ascontiguousarray(_into_cell(crystal) @ lattice)
    found: tuple[np.ndarray, ...] = find_points_in_spheres(
        cartesian, cartesian, radius, PERIODIC, lattice, 1e-8
    )
    return found


def _first_radii(
    crystals: Sequence[Crystal], sizes: np.ndarray, kinds: Sequence[CrystalGraph]
) -> np.ndarray:
    """[B] radii that most likely hold the capped neighbours, and always the uncapped kinds'."""
    lattices = np.array([crystal.lattice for crystal in crystals], dtype=np.float64)
    per_atom = np.abs(np.linalg.det(lattices)) / sizes
    radius = np.zeros(len(crystals))
    for kind in kinds:
        if kind.max_neighbours is None:
            radius = np.maximum(radius, kind.cutoff)
        else:
            # twice the required number of atoms, at the crystal's mean density
            atoms = 3 * 2 * kind.max_neighbours * per_atom / (4 * np.pi)
            radius = np.maximum(radius, atoms ** (1 / 3))
    wanted = max(kind.cutoff for kind in kinds)
    return np.minimum(radius, wanted) + 2 / PER_ANGSTROM
