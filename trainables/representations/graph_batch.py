"""A batch of crystals as a backbone gets it; importing this module needs no torch.

Legend: B crystals, N nodes, E edges, L distinct bond lengths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.representations.columns import Scope

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Taken:
    """Columns of a batch on the device, indices shifted to the rows of the batch.

    Attributes:
        crystals, nodes: B, N.
        owner: [rows] int64 for each scope with a pointer, the crystal that a row belongs to.
        columns: by name, the target among them.
    """

    crystals: int
    nodes: int
    owner: Mapping[Scope, Tensor]
    columns: Mapping[str, Tensor]

    def __getitem__(self, name: str) -> Tensor:
        return self.columns[name]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch of crystals as one disconnected graph: what every representation gives.

    Attributes:
        crystals, nodes: B, N.
        z: [N] int64 atomic numbers.
        multiplicity: [N] atoms that a node stands for.
        node_crystal: [N] int64.
        dst, src: [E] int64 node indices, dst ascending.
        count: [E] neighbours that an edge stands for, per atom of dst.
        edge_crystal: [E] int64.
        target: [B, …], or [N, …] of nodes; standardised.
    """

    crystals: int
    nodes: int
    z: Tensor
    multiplicity: Tensor
    node_crystal: Tensor
    dst: Tensor
    src: Tensor
    count: Tensor
    edge_crystal: Tensor
    target: Tensor


@dataclass(frozen=True, kw_only=True)
class GraphBatch(Batch):
    """A batch of graphs whose edges know a distance: quotients, as a rule.

    Attributes:
        length: [L] in Å, the distinct distances of each crystal's edges; what depends only on a
            distance is computed once for all edges that have it (there are about half as many
            distances as edges).
        edge_length: [E] int64, the index of an edge's length.
        bonds: [E] count × multiplicity of dst, the edges of the full graph.
    """

    length: Tensor
    edge_length: Tensor
    bonds: Tensor


@dataclass(frozen=True, kw_only=True)
class FullBatch(Batch):
    """A batch of full graphs, whose edges know a direction; all weights are 1.

    Attributes:
        vector: [E, 3] in Å from dst to the image of src.
    """

    vector: Tensor


@dataclass(frozen=True, kw_only=True)
class OrbitBatch(Batch):
    """A batch of orbit graphs, in standard orientation (`orbit_graph.py`).

    A message that is computed in the frame of an edge, where the edge points along z, and summed
    weighted by `count`, is what all edges of the orbit bring:

        f_dst += count · out · M(length, into · f_src)

    Wigner matrices of l = 1, 2, 3 stand row by row behind each other (`wigner.py`); a network of a
    lower order takes the first entries. W = 83.

    Attributes:
        group: [B] int64 number of the space group.
        frame: [B, 3, 3] rotation of a vector to the orientation of the given crystal.
        projector: [N, W] onto the features that the group of the site allows.
        length: [E] in Å.
        into: [E, W] features of the node src turned to the neighbour's, and into the edge's frame.
        out: [E, W] from the edge's frame, and onto what the site of dst allows.
        fourth: [E, 9] harmonics of l = 4 of the direction to the neighbour, of which the site of
            dst allows so much: a stiffness has that order, and no node feature.
    """

    group: Tensor
    frame: Tensor
    projector: Tensor
    length: Tensor
    into: Tensor
    out: Tensor
    fourth: Tensor


@dataclass(frozen=True, kw_only=True)
class SlabBatch(Batch):
    """A batch of slabs, in standard orientation (`slab_graph.py`).

    Attributes:
        environment: [N, 363] distances and angles to the nearest neighbours and theirs.
        length: [E] in Å.
        direction: [E, 3] mean unit vector from dst to the neighbours of the orbit.
        polar: [B, 3, 3] what of a vector the point group allows.
    """

    environment: Tensor
    length: Tensor
    direction: Tensor
    polar: Tensor
