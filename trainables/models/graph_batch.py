"""What a backbone sees of a batch of crystals.

Legend: B crystals, N nodes, E edges.
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
        distance: [E] in Å.
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
    distance: Tensor
    count: Tensor
    bonds: Tensor
    edge_crystal: Tensor
    target: Tensor
