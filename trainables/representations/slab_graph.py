"""Graphs of slabs for the contrastive model: orbits, all edges within 8 Å, and what atoms see.

Legend: B crystals, N nodes (orbits of atoms), E orbits of edges dst <- src.

They are orbit graphs (`orbit_graph.py`) without Wigner matrices: the network is invariant but for
one vector, and for that it takes from an edge only its direction, as far as the site allows it. The
vector of the crystal is what its point group allows, `polar`, of the mean over nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, ClassVar

import numpy as np

from trainables.representations.columns import Columns, Scope, column
from trainables.representations.environment import WIDTH, environments
from trainables.representations.graph import CrystalGraph, Neighbours, Search
from trainables.representations.graph_batch import SlabBatch, Taken
from trainables.representations.orbit_graph import OrbitGraph, crystals_of, members
from trainables.representations.space_group import first_setting, space_group, turns
from trainables.representations.symmetrise import Symmetrised, symmetrise


@dataclass(frozen=True)
class SlabGraphs(Columns):
    """Graphs of B slabs, in standard orientation.

    Attributes:
        polar: [B, 3, 3] float64 mean of the rotations of the point group: the part of a vector that
            the crystal allows.
        frame: [B, 3, 3] float64 rotation of a vector to the orientation of the given crystal.
        multiplicity: [N] atoms of the orbit in the given cell.
        environment: [N, 363] float32, as of `environments`; distances in units of the cutoff.
        dst, src: [E] int32 orbits within the crystal, sorted by dst, then by distance.
        count: [E] int32 edges of the orbit.
        length: [E] float64 in Å.
        direction: [E, 3] float64 mean over the orbit of the unit vectors from dst to the neighbour.
    """

    polar: Annotated[np.ndarray, column(Scope.CRYSTAL, "float64", (3, 3))]
    frame: Annotated[np.ndarray, column(Scope.CRYSTAL, "float64", (3, 3))]
    environment: Annotated[np.ndarray, column(Scope.NODE, "float32", (WIDTH,))]
    dst: Annotated[np.ndarray, column(Scope.EDGE, "int32", refers=Scope.NODE)]
    src: Annotated[np.ndarray, column(Scope.EDGE, "int32", refers=Scope.NODE)]
    count: Annotated[np.ndarray, column(Scope.EDGE, "int32")]
    length: Annotated[np.ndarray, column(Scope.EDGE, "float64")]
    direction: Annotated[np.ndarray, column(Scope.EDGE, "float64", (3,))]

    @classmethod
    def batch(cls, taken: Taken) -> SlabBatch:
        """See `Columns`."""
        length = taken["length"]
        return SlabBatch(
            crystals=taken.crystals,
            nodes=taken.nodes,
            z=taken["z"].long(),
            multiplicity=taken["multiplicity"].to(length.dtype),
            node_crystal=taken.owner[Scope.NODE],
            dst=taken["dst"].long(),
            src=taken["src"].long(),
            count=taken["count"].to(length.dtype),
            edge_crystal=taken.owner[Scope.EDGE],
            target=taken["target"],
            environment=taken["environment"],
            length=length,
            direction=taken["direction"],
            polar=taken["polar"],
        )


@dataclass(frozen=True, kw_only=True)
class SlabGraph(CrystalGraph):
    """Orbits of atoms and of all their neighbours within the cutoff, with local features."""

    columns: ClassVar[type[Columns]] = SlabGraphs
    keeps_atoms: ClassVar[bool] = False

    def build(self, neighbours: Neighbours) -> SlabGraphs:
        """See `CrystalGraph`; neighbours are searched anew, in the symmetrised crystals."""
        return self.of([symmetrise(one) for one in crystals_of(neighbours)], neighbours.search)

    def of(self, symmetric: Sequence[Symmetrised], search: Search) -> SlabGraphs:
        """The graphs of crystals whose groups are known."""
        orbits = OrbitGraph(
            name=self.name,
            version=self.version,
            cutoff=self.cutoff,
            max_neighbours=self.max_neighbours,
        ).of(symmetric, search)
        local = [environments(one.crystal, np.unique(one.first), self.cutoff) for one in symmetric]
        length = np.linalg.norm(orbits.vector, axis=1)
        nodes = orbits.dst + orbits.node_ptr[:-1][orbits.edge_crystal]
        unit = orbits.vector / length[:, None]
        allowed = _means(orbits.site)[nodes]
        return SlabGraphs(
            node_ptr=orbits.node_ptr,
            edge_ptr=orbits.edge_ptr,
            z=orbits.z,
            multiplicity=orbits.multiplicity,
            polar=_polar()[orbits.group],
            frame=orbits.frame,
            environment=np.concatenate([np.zeros((0, WIDTH), np.float32), *local]),
            dst=orbits.dst,
            src=orbits.src,
            count=orbits.count,
            length=length,
            direction=(allowed * unit[:, None]).sum(axis=2),
        )


def _means(site: np.ndarray) -> np.ndarray:
    """[N, 3, 3] means of the rotations of the groups of sites [N]."""
    kinds, of = np.unique(site, return_inverse=True)
    means = [turns()[has].mean(axis=0) for has in members(kinds)]
    return np.array(means).reshape(-1, 3, 3)[of]


@cache
def _polar() -> np.ndarray:
    """[231, 3, 3] by number of the space group, the mean of its rotations."""
    means = [
        turns()[np.unique(space_group(first_setting(number)).turn)].mean(axis=0)
        for number in range(1, 231)
    ]
    return np.array([np.zeros((3, 3)), *means])
