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
    parts = [_pairs(crystal, kinds) for crystal in crystals]
    pairs = np.array([len(dst) for dst, _, _ in parts], dtype=np.int64)
    base = np.repeat(node_ptr[:-1], pairs)
    dst = np.concatenate([part[0] for part in parts]) + base
    src = np.concatenate([part[1] for part in parts])
    distance = milli(np.concatenate([part[2] for part in parts]))
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
    crystal: Crystal, kinds: Sequence[GraphKind]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lattice = np.ascontiguousarray(crystal.lattice, dtype=np.float64)
    frac = crystal.frac - np.floor(crystal.frac)
    cartesian = np.ascontiguousarray(frac @ lattice)
    periodic = np.ones(3, dtype=np.int64)

    def search(radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        dst, src, offset, distance = find_points_in_spheres(
            cartesian, cartesian, radius, periodic, lattice, 1e-8
        )
        other = (dst != src) | offset.any(axis=1)
        return dst[other], src[other], distance[other]

    wanted = max(kind.cutoff for kind in kinds) + 2 / PER_ANGSTROM
    first = min(wanted, _first_radius(crystal, kinds))
    found = search(first)
    if first < wanted:
        # The bin of distances that the sphere cuts is not whole: a tie may lie just outside.
        whole = found[0][found[2] < first - 1 / PER_ANGSTROM]
        fewest = np.bincount(whole, minlength=len(cartesian)).min()
        if any(kind.max_neighbours and fewest < kind.max_neighbours for kind in kinds):
            found = search(wanted)
    return found


def _first_radius(crystal: Crystal, kinds: Sequence[GraphKind]) -> float:
    """A radius that most likely holds the capped neighbours, and surely the uncapped kinds."""
    per_atom = abs(np.linalg.det(crystal.lattice)) / len(crystal.numbers)
    radius = 0.0
    for kind in kinds:
        if kind.max_neighbours is None:
            radius = max(radius, kind.cutoff)
        else:
            # twice as many atoms as are wanted, at the crystal's mean density
            radius = max(radius, (3 * 2 * kind.max_neighbours * per_atom / (4 * np.pi)) ** (1 / 3))
    return float(radius + 2 / PER_ANGSTROM)


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
