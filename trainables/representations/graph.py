"""Crystal graphs of many crystals at once, as flat integer arrays.

Legend: B crystals, N nodes (atoms, or classes of atoms), P pairs, E directed edges dst <- src,
L distinct bond lengths.

Distances are integers in milli-ångström from here on: two neighbours at "the same" distance must
compare equal, or the quotient graph (`quotient.py`) could not merge them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from trainables.crystals.crystal import Crystal
from trainables.representation import Representation
from trainables.representations.columns import Columns, Scope, column
from trainables.representations.graph_batch import GraphBatch, Taken

PER_ANGSTROM = 1000
# Symmetric crystals often have distances such as 2.8125 Å, which round-half-to-even moves up or
# down with the last bit of a rotated lattice. An odd offset moves the bins' borders away from them.
BIN_OFFSET = 0.0317
# Raised whenever the same crystal would get another graph: older shards are then made again.
FEATURISER_VERSION = 2


def milli(distance: np.ndarray) -> np.ndarray:
    """Converts distances in Å to integers of 1e-3 Å (with bin borders off round numbers)."""
    return np.floor(distance * PER_ANGSTROM + (0.5 + BIN_OFFSET)).astype(np.int64)


@dataclass(frozen=True)
class Neighbours:
    """All pairs within a radius, of many crystals: flat, sorted by (dst, distance, Z of src, src).

    Attributes:
        node_ptr: [B+1]; z: [N]; dst, src: [P] flat node indices; distance: [P] in 1e-3 Å.
        lattice: [B, 3, 3] in Å, a row a vector.
        frac: [N, 3] in 0 ≤ x < 1.
        shift: [P, 3] cells from an atom to the neighbour's image; None unless it was asked for.
        search: finds those of other crystals; representations that change crystals need it, and
            training, which imports them, has no package that searches.
    """

    node_ptr: np.ndarray
    z: np.ndarray
    dst: np.ndarray
    src: np.ndarray
    distance: np.ndarray
    lattice: np.ndarray
    frac: np.ndarray
    shift: np.ndarray | None
    search: Search


Search = Callable[[Sequence[Crystal], Sequence["CrystalGraph"]], Neighbours]


@dataclass(frozen=True, kw_only=True)
class CrystalGraph(Representation, ABC):
    """How crystals become graphs; a subclass adds settings as fields.

    Attributes:
        cutoff: in Å.
        max_neighbours: nearest neighbours kept per atom; None keeps all within the cutoff.
        columns: the class of the graphs.
        keeps_atoms: whether each atom is a node, in the order of the crystal, and the neighbours
            say which image they are; else a target of atoms cannot be learned.
    """

    cutoff: float
    max_neighbours: int | None
    columns: ClassVar[type[Columns]]
    keeps_atoms: ClassVar[bool]

    @abstractmethod
    def build(self, neighbours: Neighbours) -> Columns:
        """The graphs of B crystals, from pairs that include all within the cutoff."""

    def refused(self, neighbours: Neighbours) -> dict[int, str]:
        """Why this representation cannot hold some of the crystals, by index."""
        return {}


@dataclass(frozen=True)
class Graphs(Columns):
    """Flat graphs of B crystals; a full graph has all weights 1, a quotient counts.

    Attributes:
        dst, src: [E] int32 node indices within the crystal, sorted by dst.
        distance: [E] int32 in 1e-3 Å.
        count: [E] int32 neighbours that an edge stands for, per atom of dst.
    """

    dst: Annotated[np.ndarray, column(Scope.EDGE, "int32", refers=Scope.NODE)]
    src: Annotated[np.ndarray, column(Scope.EDGE, "int32", refers=Scope.NODE)]
    distance: Annotated[np.ndarray, column(Scope.EDGE, "int32")]
    count: Annotated[np.ndarray, column(Scope.EDGE, "int32")]

    def prepared(self) -> MeasuredGraphs:
        """The same graphs, in Å and with each length of a crystal listed once."""
        length_ptr, lengths, edge_length = _distinct_lengths(self)
        return MeasuredGraphs(
            node_ptr=self.node_ptr,
            edge_ptr=self.edge_ptr,
            length_ptr=length_ptr,
            z=self.z,
            multiplicity=self.multiplicity,
            dst=self.dst,
            src=self.src,
            edge_length=edge_length,
            count=self.count,
            length=lengths / PER_ANGSTROM,
        )

    @classmethod
    def full(cls, neighbours: Neighbours, kind: CrystalGraph) -> Graphs:
        """The full graphs of the crystals: each atom is a node, each neighbour an edge.

        An atom with fewer neighbours than the cap has fewer edges. Equal distances at the cap are
        ordered by (distance, Z of the neighbour, index of the neighbour): the graph does not depend
        on the order of atoms, nor on the choice of the cell, unless neighbours of one element at
        one distance differ in their own surroundings and the cap cuts between them.
        """
        node_ptr = neighbours.node_ptr
        keep = neighbours.distance <= round(kind.cutoff * PER_ANGSTROM)
        if kind.max_neighbours is not None:
            first = np.searchsorted(neighbours.dst, np.arange(node_ptr[-1]))
            rank = np.arange(len(neighbours.dst)) - first[neighbours.dst]
            keep &= rank < kind.max_neighbours
        dst, src = neighbours.dst[keep], neighbours.src[keep]
        base = np.repeat(node_ptr[:-1], np.diff(node_ptr))
        return cls(
            node_ptr=node_ptr,
            edge_ptr=np.searchsorted(dst, node_ptr),
            z=neighbours.z.astype(np.uint8),
            multiplicity=np.ones(node_ptr[-1], dtype=np.int32),
            dst=(dst - base[dst]).astype(np.int32),
            src=(src - base[src]).astype(np.int32),
            distance=neighbours.distance[keep].astype(np.int32),
            count=np.ones(len(dst), dtype=np.int32),
        )


@dataclass(frozen=True)
class MeasuredGraphs(Columns):
    """`Graphs` with each bond length of a crystal listed once, as a device holds them.

    Attributes:
        length_ptr: [B+1] int64.
        multiplicity, dst, src, count: as in `Graphs`.
        edge_length: [E] index into the crystal's lengths.
        length: [L] in Å, ascending in each crystal.
    """

    length_ptr: np.ndarray
    multiplicity: Annotated[np.ndarray, column(Scope.NODE, "float64")]
    dst: Annotated[np.ndarray, column(Scope.EDGE, "int32", refers=Scope.NODE)]
    src: Annotated[np.ndarray, column(Scope.EDGE, "int32", refers=Scope.NODE)]
    edge_length: Annotated[np.ndarray, column(Scope.EDGE, "int32", refers=Scope.LENGTH)]
    count: Annotated[np.ndarray, column(Scope.EDGE, "float64")]
    length: Annotated[np.ndarray, column(Scope.LENGTH, "float64")]

    @classmethod
    def batch(cls, taken: Taken) -> GraphBatch:
        """See `Columns`."""
        multiplicity, count, dst = taken["multiplicity"], taken["count"], taken["dst"]
        return GraphBatch(
            crystals=taken.crystals,
            nodes=taken.nodes,
            z=taken["z"].long(),
            multiplicity=multiplicity,
            node_crystal=taken.owner[Scope.NODE],
            dst=dst,
            src=taken["src"],
            length=taken["length"],
            edge_length=taken["edge_length"],
            count=count,
            bonds=count * multiplicity[dst],
            edge_crystal=taken.owner[Scope.EDGE],
            target=taken["target"],
        )


def _distinct_lengths(graphs: Graphs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pointer [B+1], lengths [L] in 1e-3 Å ascending in each crystal, index [E] into them."""
    crystal = graphs.edge_crystal.astype(np.int64)
    span = int(graphs.distance.max(initial=0)) + 1
    keys, found = np.unique(crystal * span + graphs.distance, return_inverse=True)
    ptr = np.concatenate([[0], np.cumsum(np.bincount(keys // span, minlength=len(graphs)))])
    return ptr, keys % span, found - ptr[crystal]
