"""The neighbours of every atom, and the crystal graphs made of them.

Legend: B crystals, N atoms, P pairs, E edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pymatgen.optimization.neighbors import find_points_in_spheres

from trainables.crystals.crystal import Crystal
from trainables.crystals.graph import PER_ANGSTROM, GraphKind, Graphs

# Symmetric crystals love distances such as 2.8125 Å, on which round-half flips with the last bit
# of a rotated lattice. An odd offset moves the borders of the bins to where no such distance lies.
BIN_OFFSET = 0.0317
PERIODIC = np.ones(3, dtype=np.int64)


@dataclass(frozen=True)
class Neighbours:
    """All pairs within a radius, of many crystals: flat, sorted by (dst, distance, Z of src, src).

    Attributes:
        node_ptr: [B+1]; z: [N]; dst, src: [P] flat node indices; distance: [P] in 1e-3 Å.
    """

    node_ptr: np.ndarray
    z: np.ndarray
    dst: np.ndarray
    src: np.ndarray
    distance: np.ndarray


def milli(distance: np.ndarray) -> np.ndarray:
    """Distances in Å to integers of 1e-3 Å (the bins' borders are moved off round numbers)."""
    return np.floor(distance * PER_ANGSTROM + (0.5 + BIN_OFFSET)).astype(np.int64)


def build_graphs(neighbours: Neighbours, kinds: Sequence[GraphKind]) -> list[Graphs]:
    """The full graphs of the crystals, one `Graphs` a kind, from one neighbour search.

    An atom with fewer neighbours than the cap simply has fewer edges. Equal distances at the cap
    are ordered by (distance, Z of the neighbour, index of the neighbour): the graph does not
    depend on the listing of atoms, nor on the choice of the cell, unless neighbours of one element
    at one distance differ in their own surroundings and the cap cuts between them.
    """
    return [_select(neighbours, kind) for kind in kinds]


def find_neighbours(crystals: Sequence[Crystal], kinds: Sequence[GraphKind]) -> Neighbours:
    """Every pair of atoms that any of the kinds can need, each atom's image pairs included."""
    if not crystals:
        none = np.zeros(0, dtype=np.int64)
        return Neighbours(np.zeros(1, dtype=np.int64), none, none, none, none)
    sizes = np.array([len(crystal.numbers) for crystal in crystals], dtype=np.int64)
    node_ptr = np.concatenate([[0], np.cumsum(sizes)])
    z = np.concatenate([crystal.numbers for crystal in crystals]).astype(np.int64)
    radii = _first_radii(crystals, sizes, kinds)
    parts = [_pairs(crystal, kinds, r) for crystal, r in zip(crystals, radii, strict=True)]
    pairs = np.array([len(part[0]) for part in parts], dtype=np.int64)
    base = np.repeat(node_ptr[:-1], pairs)
    dst, src, offset, apart = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    # Each atom finds itself too.
    others = np.flatnonzero((dst != src) | offset.any(axis=1))
    base, src = base[others], src[others]
    dst, distance = dst[others] + base, milli(apart[others])
    # One integer a pair sorts many times faster than four keys: dst 24 bits, distance 14, Z 7,
    # index within the crystal 16.
    if node_ptr[-1] >> 24 or sizes.max() >> 16 or (len(distance) and distance.max() >> 14):
        raise ValueError(
            f"{node_ptr[-1]} atoms, {sizes.max()} in one crystal, cutoffs "
            f"{[kind.cutoff for kind in kinds]} Å: at most 2^24, 2^16 and 16.38 Å can be sorted"
        )
    key = (((dst << 14 | distance) << 7 | z[src + base]) << 16) | src
    key.sort()
    dst = key >> 37
    src = (key & 0xFFFF) + node_ptr[:-1].repeat(sizes)[dst]
    return Neighbours(node_ptr, z, dst, src, (key >> 23) & 0x3FFF)


def _pairs(
    crystal: Crystal, kinds: Sequence[GraphKind], first: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """dst, src, offset [P, 3] and distance in Å of a crystal, each atom with itself included.

    Args:
        first: radius that most likely is enough, see `_first_radii`.
    """
    lattice = np.ascontiguousarray(crystal.lattice, dtype=np.float64)
    frac = crystal.frac - np.floor(crystal.frac)
    cartesian = np.ascontiguousarray(frac @ lattice)
    found = _within(cartesian, lattice, first)
    wanted = max(kind.cutoff for kind in kinds) + 2 / PER_ANGSTROM
    if first < wanted:
        # The bin of distances that the sphere cuts is not whole: a tie may lie just outside.
        whole = found[0][found[3] < first - 1 / PER_ANGSTROM]
        fewest = np.bincount(whole, minlength=len(cartesian)).min() - 1
        if any(kind.max_neighbours and fewest < kind.max_neighbours for kind in kinds):
            found = _within(cartesian, lattice, wanted)
    return found


def _within(
    cartesian: np.ndarray, lattice: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    found: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] = find_points_in_spheres(
        cartesian, cartesian, radius, PERIODIC, lattice, 1e-8
    )
    return found


def _first_radii(
    crystals: Sequence[Crystal], sizes: np.ndarray, kinds: Sequence[GraphKind]
) -> list[float]:
    """Radii that most likely hold the capped neighbours, and surely the uncapped kinds."""
    lattices = np.array([crystal.lattice for crystal in crystals], dtype=np.float64)
    per_atom = np.abs(np.linalg.det(lattices)) / sizes
    radius = np.zeros(len(crystals))
    for kind in kinds:
        if kind.max_neighbours is None:
            radius = np.maximum(radius, kind.cutoff)
        else:
            # twice as many atoms as are wanted, at the crystal's mean density
            atoms = 3 * 2 * kind.max_neighbours * per_atom / (4 * np.pi)
            radius = np.maximum(radius, atoms ** (1 / 3))
    wanted = max(kind.cutoff for kind in kinds)
    found: list[float] = (np.minimum(radius, wanted) + 2 / PER_ANGSTROM).tolist()
    return found


def _select(neighbours: Neighbours, kind: GraphKind) -> Graphs:
    node_ptr = neighbours.node_ptr
    keep = neighbours.distance <= round(kind.cutoff * PER_ANGSTROM)
    if kind.max_neighbours is not None:
        first = np.searchsorted(neighbours.dst, np.arange(node_ptr[-1]))
        rank = np.arange(len(neighbours.dst)) - first[neighbours.dst]
        keep &= rank < kind.max_neighbours
    dst, src = neighbours.dst[keep], neighbours.src[keep]
    base = np.repeat(node_ptr[:-1], np.diff(node_ptr))
    return Graphs(
        node_ptr=node_ptr,
        edge_ptr=np.searchsorted(dst, node_ptr),
        z=neighbours.z.astype(np.uint8),
        multiplicity=np.ones(node_ptr[-1], dtype=np.int32),
        dst=(dst - base[dst]).astype(np.int32),
        src=(src - base[src]).astype(np.int32),
        distance=neighbours.distance[keep].astype(np.int32),
        count=np.ones(len(dst), dtype=np.int32),
    )
