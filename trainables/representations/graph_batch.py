"""A batch of crystals as a backbone gets it.

Legend: B crystals, N nodes, E edges, L distinct bond lengths.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class GraphBatch:
    """A batch of (quotient) graphs as one disconnected graph.

    Attributes:
        crystals, nodes: B, N.
        z: [N] int64 atomic numbers.
        multiplicity: [N] atoms that a node stands for.
        node_crystal: [N] int64.
        dst, src: [E] int64 node indices, dst ascending.
        length: [L] in Å, the distinct distances of each crystal's edges; what depends only on a
            distance is computed once for all edges that have it (there are about half as many
            distances as edges).
        edge_length: [E] int64, the index of an edge's length.
        count: [E] neighbours that an edge stands for, per atom of dst.
        bonds: [E] count × multiplicity of dst, the edges of the full graph.
        edge_crystal: [E] int64.
        target: [B] standardised.
    """

    crystals: int
    nodes: int
    z: Tensor
    multiplicity: Tensor
    node_crystal: Tensor
    dst: Tensor
    src: Tensor
    length: Tensor
    edge_length: Tensor
    count: Tensor
    bonds: Tensor
    edge_crystal: Tensor
    target: Tensor
