"""The full graph: every atom a node, every neighbour an edge that knows its image's cell.

Legend: B crystals, N atoms, P pairs, E directed edges dst <- src.

Edges (i, j, R₁) and (i, j, R₂) to two images of one neighbour stay apart. Displacement vectors are
made on the device from fractional coordinates, shifts and lattices, which take a third of their
memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import spglib

from trainables.representations.columns import Columns, Scope, column
from trainables.representations.graph import PER_ANGSTROM, CrystalGraph, Neighbours
from trainables.representations.graph_batch import FullBatch, Taken

# In the vectors a, b, c of the Niggli cell: a, b, c, a + b, a + c, b + c (Yan et al. 2022).
LATTICE_SUMS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]])
FARTHEST = np.iinfo(np.int8).max
TOO_FAR = f"a neighbour is more than {FARTHEST} cells away; give the reduced cell"


@dataclass(frozen=True)
class FullGraphs(Columns):
    """Full graphs of B crystals.

    Attributes:
        frac: [N, 3] float64 fractional coordinates in 0 ≤ x < 1.
        lattice: [B, 3, 3] float64 in Å, a row a vector.
        dst, src: [E] int32 atoms within the crystal, sorted by dst.
        shift: [E, 3] int8, cells from dst to the image of src.
    """

    frac: Annotated[np.ndarray, column(Scope.NODE, "float64", (3,))]
    lattice: Annotated[np.ndarray, column(Scope.CRYSTAL, "float64", (3, 3))]
    dst: Annotated[np.ndarray, column(Scope.EDGE, "int32", refers=Scope.NODE)]
    src: Annotated[np.ndarray, column(Scope.EDGE, "int32", refers=Scope.NODE)]
    shift: Annotated[np.ndarray, column(Scope.EDGE, "int8", (3,))]

    @classmethod
    def batch(cls, taken: Taken) -> FullBatch:
        """See `Columns`; the vector of an edge is (frac_src - frac_dst + shift) · lattice."""
        frac_n3, dst, src = taken["frac"], taken["dst"], taken["src"]
        edge_crystal = taken.owner[Scope.EDGE]
        # in this order, so that the vector of the edge back is the opposite to the last bit
        apart_e3 = frac_n3[src] - frac_n3[dst] + taken["shift"]
        vector_e3 = (apart_e3[:, :, None] * taken["lattice"][edge_crystal]).sum(dim=1)
        return FullBatch(
            crystals=taken.crystals,
            nodes=taken.nodes,
            z=taken["z"].long(),
            multiplicity=taken["multiplicity"].to(frac_n3.dtype),
            node_crystal=taken.owner[Scope.NODE],
            dst=dst,
            src=src,
            count=vector_e3.new_ones(len(vector_e3)),
            edge_crystal=edge_crystal,
            target=taken["target"],
            vector=vector_e3,
        )


@dataclass(frozen=True, kw_only=True)
class FullGraph(CrystalGraph):
    """All neighbours within a cutoff, in whole shells.

    The neighbours at the distance of the last one kept by `max_neighbours` are all kept: a cut
    through a shell would break the symmetry of the site.

    Attributes:
        lattice_edges: adds six edges from each atom to its own images, along a, b, c, a + b, a + c
            and b + c of the Niggli cell, as in Matformer (Yan et al. 2022,
            doi:10.48550/arXiv.2209.11807). Their lengths do not depend on which cell of that volume
            is given. Their directions are determined up to the symmetry of the lattice, which may
            be higher than that of the crystal: a network that is to be equivariant does not use
            them.
    """

    lattice_edges: bool = False
    columns: ClassVar[type[Columns]] = FullGraphs
    keeps_atoms: ClassVar[bool] = True

    def build(self, neighbours: Neighbours) -> FullGraphs:
        """See `CrystalGraph`.

        Raises:
            ValueError: a crystal that `refused` names.
        """
        edges = self._edges(neighbours)
        for index in _too_far(edges, neighbours):
            raise ValueError(f"crystal {index}: {TOO_FAR}")
        node_ptr = neighbours.node_ptr
        base = np.repeat(node_ptr[:-1], np.diff(node_ptr))[edges.dst]
        return FullGraphs(
            node_ptr=node_ptr,
            edge_ptr=np.searchsorted(edges.dst, node_ptr),
            z=neighbours.z.astype(np.uint8),
            multiplicity=np.ones(node_ptr[-1], dtype=np.int32),
            frac=neighbours.frac,
            lattice=neighbours.lattice,
            dst=(edges.dst - base).astype(np.int32),
            src=(edges.src - base).astype(np.int32),
            shift=edges.shift.astype(np.int8),
        )

    def refused(self, neighbours: Neighbours) -> dict[int, str]:
        """See `CrystalGraph`: those whose cell is so thin that a shift does not fit in 8 bits."""
        return dict.fromkeys(_too_far(self._edges(neighbours), neighbours), TOO_FAR)

    def _edges(self, neighbours: Neighbours) -> _Edges:
        edges = _Edges.of(neighbours, self)
        return edges.with_own_images(neighbours) if self.lattice_edges else edges


@dataclass(frozen=True)
class _Edges:
    """Edges of many crystals: flat node indices dst, src [E], and shift [E, 3]; sorted by dst."""

    dst: np.ndarray
    src: np.ndarray
    shift: np.ndarray

    @classmethod
    def of(cls, neighbours: Neighbours, kind: FullGraph) -> _Edges:
        """The pairs within the cutoff, or of the shells up to the last neighbour kept."""
        if neighbours.shift is None:
            raise ValueError("the neighbours were searched without their shifts")
        dst, distance = neighbours.dst, neighbours.distance
        keep = distance <= round(kind.cutoff * PER_ANGSTROM)
        if kind.max_neighbours is not None:
            first = np.searchsorted(dst, np.arange(neighbours.node_ptr[-1] + 1))
            last = np.minimum(first[:-1] + kind.max_neighbours, first[1:]) - 1
            keep &= distance <= distance[last[dst]]
        return cls(dst[keep], neighbours.src[keep], neighbours.shift[keep])

    def with_own_images(self, neighbours: Neighbours) -> _Edges:
        """These edges, and behind those of each atom the six along the Niggli cell."""
        atoms = np.arange(neighbours.node_ptr[-1])
        crystal = np.repeat(np.arange(len(neighbours.lattice)), np.diff(neighbours.node_ptr))
        own = np.repeat(atoms, len(LATTICE_SUMS))
        shift = _own_images(neighbours.lattice)[crystal].reshape(-1, 3)
        dst = np.concatenate([self.dst, own])
        order = np.argsort(dst, kind="stable")
        src, shift = np.concatenate([self.src, own]), np.concatenate([self.shift, shift])
        return _Edges(dst[order], src[order], shift[order])


def _too_far(edges: _Edges, neighbours: Neighbours) -> list[int]:
    """The crystals with a shift that does not fit in 8 bits."""
    atoms = edges.dst[np.abs(edges.shift).max(axis=1, initial=0) > FARTHEST]
    crystals = np.searchsorted(neighbours.node_ptr, atoms, side="right") - 1
    return np.unique(crystals).tolist()


def _own_images(lattice: np.ndarray) -> np.ndarray:
    """[B, 6, 3] cells from an atom to its images along the Niggli cell.

    Args:
        lattice: [B, 3, 3].
    """
    basis = np.array([niggli_basis(one) for one in lattice], dtype=np.int64)
    return LATTICE_SUMS @ basis.reshape(-1, 3, 3)


def niggli_basis(lattice: np.ndarray) -> np.ndarray:
    """[3, 3] integers: the vectors of the Niggli cell in those of a lattice, a row a vector.

    Křivý & Gruber 1976, doi:10.1107/S0567739476000636, by spglib. Where it finds none, they are
    larger than any edge holds, so that the crystal is refused.
    """
    reduced = spglib.niggli_reduce(lattice)
    if reduced is None:
        return np.full((3, 3), FARTHEST + 1)
    return np.rint(reduced @ np.linalg.inv(lattice)).astype(np.int64)
