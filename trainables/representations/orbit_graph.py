"""Orbit graphs: of atoms that a symmetry exchanges one is a node, for equivariant networks too.

Legend: B crystals, N orbits of atoms, E orbits of edges dst <- src, P pairs, W packed entries of
Wigner matrices (`wigner.py`).

A space group is made exact (`symmetrise.py`). An atom g·a of the orbit of a has the feature
D(R_g)·f_a, for any network that is equivariant under rotations and reflections, so one atom of each
orbit is enough. The edges into it fall into orbits under the group S of its site. With n edges in
the orbit of an edge of vector r, whose neighbour is g·b, the messages of all of them add up to

    n · P · M(r, D(R_g) f_b),    P = the mean of D(R) over S.

So a network on orbits of atoms and of edges computes what it computes on all atoms and edges,
values and gradients, to rounding.

Stored are vectors, and rotations as numbers of one of 64 (`space_group.py`); matrices are made from
them once a data set is loaded. Distances are not rounded, unlike those of `graph.py`: the steps of
1e-3 Å only decide which shells are kept, and which order edges have. So numbers of orbits and edges
do not depend on how a crystal is described, but vectors do in their last digits, and by one of the
rotations and shifts of origin that leave the group as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Annotated, ClassVar

import numpy as np

from trainables.crystals.crystal import Crystal
from trainables.representations.columns import Columns, Scope, column
from trainables.representations.full_graph import FullGraph
from trainables.representations.graph import PER_ANGSTROM, CrystalGraph, Neighbours, Search
from trainables.representations.graph_batch import OrbitBatch, Taken
from trainables.representations.space_group import turns
from trainables.representations.symmetrise import Symmetrised, into_cell, symmetrise
from trainables.representations.wigner import (
    WIDTH,
    multiply,
    packed,
    to_pole,
    transpose,
)
from trainables.tensors.harmonics import harmonics, wigner

# Of a neighbour's cell along one vector, in a key. Standard cells are reduced, so that no neighbour
# is 2^14 cells away; cells that are kept as they are have no operations, and need no keys.
CELL_BITS = 15


@dataclass(frozen=True)
class OrbitGraphs(Columns):
    """Orbit graphs of B crystals, in standard orientation.

    Attributes:
        group: [B] uint8 number of the space group.
        symprec: [B] float64 tolerance in Å under which it was found; 0 where none served, so that
            the crystal has all its atoms as nodes.
        moved: [B] float64 Å that the farthest atom or vector of the cell moved.
        frame: [B, 3, 3] float64 rotation of a vector to the orientation of the given crystal.
        multiplicity: [N] atoms of the orbit in the given cell.
        site: [N] uint64, a bit for each of the `turns` that the group of the site has.
        dst, src: [E] int32 orbits within the crystal, sorted by dst, then by distance.
        turn: [E] uint8 place, among `turns`, of what turns the node src to the neighbour.
        vector: [E, 3] float64 in Å from the atom dst to the neighbour.
        count: [E] int32 edges of the orbit.
    """

    group: Annotated[np.ndarray, column(Scope.CRYSTAL, "uint8")]
    symprec: Annotated[np.ndarray, column(Scope.CRYSTAL, "float64")]
    moved: Annotated[np.ndarray, column(Scope.CRYSTAL, "float64")]
    frame: Annotated[np.ndarray, column(Scope.CRYSTAL, "float64", (3, 3))]
    site: Annotated[np.ndarray, column(Scope.NODE, "uint64")]
    dst: Annotated[np.ndarray, column(Scope.EDGE, "int32", refers=Scope.NODE)]
    src: Annotated[np.ndarray, column(Scope.EDGE, "int32", refers=Scope.NODE)]
    turn: Annotated[np.ndarray, column(Scope.EDGE, "uint8")]
    vector: Annotated[np.ndarray, column(Scope.EDGE, "float64", (3,))]
    count: Annotated[np.ndarray, column(Scope.EDGE, "int32")]

    def prepared(self) -> TurnedOrbits:
        """The same graphs with their Wigner matrices."""
        to_edge = packed(to_pole(self.vector))
        nodes = self.dst + self.node_ptr[:-1][self.edge_crystal]
        projector = projectors(self.site)
        return TurnedOrbits(
            node_ptr=self.node_ptr,
            edge_ptr=self.edge_ptr,
            z=self.z,
            multiplicity=self.multiplicity,
            group=self.group,
            frame=self.frame,
            projector=projector,
            dst=self.dst,
            src=self.src,
            count=self.count,
            length=np.linalg.norm(self.vector, axis=1),
            into=multiply(to_edge, wigner_of_turns()[self.turn]),
            out=multiply(projector[nodes], transpose(to_edge)),
            fourth=fourth_orders(self.site[nodes], self.vector),
        )


@dataclass(frozen=True)
class TurnedOrbits(Columns):
    """`OrbitGraphs` with Wigner matrices, as a device holds them; see `OrbitBatch`."""

    multiplicity: Annotated[np.ndarray, column(Scope.NODE, "float64")]
    group: Annotated[np.ndarray, column(Scope.CRYSTAL, "uint8")]
    frame: Annotated[np.ndarray, column(Scope.CRYSTAL, "float64", (3, 3))]
    projector: Annotated[np.ndarray, column(Scope.NODE, "float64", (WIDTH,))]
    dst: Annotated[np.ndarray, column(Scope.EDGE, "int32", refers=Scope.NODE)]
    src: Annotated[np.ndarray, column(Scope.EDGE, "int32", refers=Scope.NODE)]
    count: Annotated[np.ndarray, column(Scope.EDGE, "float64")]
    length: Annotated[np.ndarray, column(Scope.EDGE, "float64")]
    into: Annotated[np.ndarray, column(Scope.EDGE, "float64", (WIDTH,))]
    out: Annotated[np.ndarray, column(Scope.EDGE, "float64", (WIDTH,))]
    fourth: Annotated[np.ndarray, column(Scope.EDGE, "float64", (9,))]

    @classmethod
    def batch(cls, taken: Taken) -> OrbitBatch:
        """See `Columns`."""
        return OrbitBatch(
            crystals=taken.crystals,
            nodes=taken.nodes,
            z=taken["z"].long(),
            multiplicity=taken["multiplicity"],
            node_crystal=taken.owner[Scope.NODE],
            dst=taken["dst"],
            src=taken["src"],
            count=taken["count"],
            edge_crystal=taken.owner[Scope.EDGE],
            target=taken["target"],
            group=taken["group"].long(),
            frame=taken["frame"],
            projector=taken["projector"],
            length=taken["length"],
            into=taken["into"],
            out=taken["out"],
            fourth=taken["fourth"],
        )


@cache
def wigner_of_turns() -> np.ndarray:
    """[64, W] packed matrices of the `turns`."""
    return packed(turns())


def projectors(site: np.ndarray) -> np.ndarray:
    """[N, W] packed means, over the groups of sites, of the Wigner matrices.

    A feature of an atom is unchanged by them: what they map to zero, its site forbids.

    Args:
        site: [N] uint64, a bit for each of the `turns`.
    """
    kinds, of = np.unique(site, return_inverse=True)
    # one by one: a product of matrices would round by how many there are, and so by the batch
    means = [wigner_of_turns()[has].mean(axis=0) for has in members(kinds)]
    return np.array(means).reshape(-1, WIDTH)[of]


def fourth_orders(site: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """[E, 9] harmonics of l = 4 of directions, of which groups of sites allow so much.

    Args:
        site: [E] uint64, a bit for each of the `turns`.
        vectors: [E, 3], none of them zero.
    """
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    kinds, of = np.unique(site, return_inverse=True)
    has = members(kinds)
    means = np.einsum("st,tmn->smn", has, wigner(4, turns())) / has.sum(axis=1)[:, None, None]
    return np.einsum("emn,en->em", means[of], harmonics(4, unit))


def members(site: np.ndarray) -> np.ndarray:
    """[N, 64] which of the `turns` the groups of sites have."""
    return (site[:, None] >> np.arange(len(turns()), dtype=np.uint64) & np.uint64(1)).astype(bool)


@dataclass(frozen=True, kw_only=True)
class OrbitGraph(CrystalGraph):
    """Orbits of atoms, and of their neighbours in whole shells, under the space group.

    The cutoff and `max_neighbours` are as of `FullGraph`; orbits of edges are kept whole.
    """

    columns: ClassVar[type[Columns]] = OrbitGraphs
    keeps_atoms: ClassVar[bool] = False

    def build(self, neighbours: Neighbours) -> OrbitGraphs:
        """See `CrystalGraph`; neighbours are searched anew, in the symmetrised crystals."""
        return self.of([symmetrise(one) for one in crystals_of(neighbours)], neighbours.search)

    def of(self, symmetric: Sequence[Symmetrised], search: Search) -> OrbitGraphs:
        """The graphs of crystals whose groups are known."""
        found = search([one.crystal for one in symmetric], [self._search])
        first = np.searchsorted(found.dst, np.arange(found.node_ptr[-1] + 1))
        parts = [
            self._one(one, _Pairs.of(found, first, index)) for index, one in enumerate(symmetric)
        ]
        return OrbitGraphs.join(parts)

    @property
    def _search(self) -> FullGraph:
        return FullGraph(
            name=self.name,
            version=self.version,
            cutoff=self.cutoff,
            max_neighbours=self.max_neighbours,
        )

    def _one(self, symmetric: Symmetrised, pairs: _Pairs) -> OrbitGraphs:
        """The graph of one crystal."""
        nodes = np.unique(symmetric.first)
        chosen, count, site = [], [], []
        for node in nodes.tolist():
            fixing = np.flatnonzero(symmetric.image[:, node] == node)
            places = self._possible(pairs, node)
            kept, counts = _edge_orbits(symmetric, node, fixing, pairs, places)
            near = self._near(pairs.distance[kept], counts)
            chosen.append(kept[near])
            count.append(counts[near])
            site.append(np.bitwise_or.reduce(np.uint64(1) << symmetric.group.turn[fixing]))
        edges = np.concatenate(chosen)
        frac, src = symmetric.crystal.frac, pairs.src[edges]
        apart = frac[src] + pairs.shift[edges] - frac[pairs.dst[edges]]
        atoms = symmetric.first[symmetric.primitive]
        return OrbitGraphs(
            node_ptr=np.array([0, len(nodes)]),
            edge_ptr=np.array([0, len(edges)]),
            z=symmetric.crystal.numbers[nodes].astype(np.uint8),
            multiplicity=np.bincount(np.searchsorted(nodes, atoms)).astype(np.int32),
            group=np.array([symmetric.group.number], np.uint8),
            symprec=np.array([symmetric.symprec]),
            moved=np.array([symmetric.moved]),
            frame=symmetric.frame[None],
            site=np.array(site, np.uint64),
            dst=np.searchsorted(nodes, pairs.dst[edges]).astype(np.int32),
            src=np.searchsorted(nodes, symmetric.first[src]).astype(np.int32),
            turn=symmetric.group.turn[symmetric.by[src]],
            vector=apart @ symmetric.crystal.lattice,
            count=np.concatenate(count).astype(np.int32),
        )

    def _possible(self, pairs: _Pairs, node: int) -> np.ndarray:
        """The pairs of an atom that `_near` may keep: edges of an orbit may be a step apart."""
        start, end = pairs.first[node : node + 2].tolist()
        distance = pairs.distance[start:end]
        farthest = round(self.cutoff * PER_ANGSTROM)
        if self.max_neighbours is not None and len(distance) > self.max_neighbours:
            farthest = min(farthest, int(distance[self.max_neighbours]))
        return np.arange(start, start + np.searchsorted(distance, farthest + 2, side="right"))

    def _near(self, distance: np.ndarray, count: np.ndarray) -> np.ndarray:
        """Which orbits of edges, ascending in distance, are kept: whole shells."""
        near = distance <= round(self.cutoff * PER_ANGSTROM)
        if self.max_neighbours is not None and len(distance):
            last = np.searchsorted(np.cumsum(count), self.max_neighbours)
            near &= distance <= distance[min(int(last), len(distance) - 1)]
        return near


@dataclass(frozen=True)
class _Pairs:
    """Neighbours in one primitive cell of P pairs, sorted by dst.

    Attributes:
        first: [atoms+1] where the pairs of an atom start.
        dst, src: [P] atoms; shift: [P, 3] cells; distance: [P] in 1e-3 Å.
    """

    first: np.ndarray
    dst: np.ndarray
    src: np.ndarray
    shift: np.ndarray
    distance: np.ndarray

    @classmethod
    def of(cls, found: Neighbours, first: np.ndarray, crystal: int) -> _Pairs:
        """Those of one of many crystals.

        Args:
            first: [nodes+1] where the pairs of each node of all crystals start.
        """
        low, high = found.node_ptr[crystal : crystal + 2]
        rows = slice(first[low], first[high])
        assert found.shift is not None  # FullGraph asks for it
        shift = found.shift[rows]
        own = first[low : high + 1] - first[low]
        return cls(own, found.dst[rows] - low, found.src[rows] - low, shift, found.distance[rows])


def _edge_orbits(
    symmetric: Symmetrised, node: int, fixing: np.ndarray, pairs: _Pairs, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One edge of each orbit of edges into an atom, and the number of edges in the orbit.

    Atoms and cells are integers on which the group acts exactly, so an edge is the representative
    if none of its images has a lower key.

    Args:
        fixing: operations that leave the atom `node` in place, up to a shift by cells.
        places: of the atom's pairs.
    """
    if len(fixing) == 1:
        return places, np.ones(len(places), np.int64)
    src, shift = pairs.src[places], pairs.shift[places]
    turned = shift @ symmetric.group.rotation[fixing].swapaxes(1, 2)
    turned = turned + symmetric.cell[fixing][:, src] - symmetric.cell[fixing, node][:, None]
    keys = _key(symmetric.image[fixing][:, src], turned)
    own = _key(src, shift)
    kept = own == keys.min(axis=0)
    count = len(fixing) // (keys[:, kept] == own[kept]).sum(axis=0)
    return places[kept], count


def _key(atom: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """[…] one integer for an atom […] in a cell […, 3]."""
    key = atom
    for axis in range(3):
        key = key << CELL_BITS | cell[..., axis] + (1 << (CELL_BITS - 1))
    return key


def node_of_atom(crystal: Crystal) -> np.ndarray:
    """[atoms] the node that stands for each atom in the graph of a crystal."""
    symmetric = symmetrise(Crystal(crystal.numbers, into_cell(crystal.frac), crystal.lattice))
    _, node = np.unique(symmetric.first, return_inverse=True)
    of_atoms: np.ndarray = node[symmetric.primitive]
    return of_atoms


def crystals_of(neighbours: Neighbours) -> Sequence[Crystal]:
    """The crystals whose neighbours were searched."""
    ends = pairwise(neighbours.node_ptr.tolist())
    return [
        Crystal(
            neighbours.z[start:end].astype(np.uint8),
            neighbours.frac[start:end],
            neighbours.lattice[index],
        )
        for index, (start, end) in enumerate(ends)
    ]
