"""A network after coGN (Ruff et al. 2024, doi:10.1039/d4dd00018h), over quotient graphs.

Legend: K models, B crystals, N nodes, E edges, A width, G Gaussians.

A block is coGN's: a message of each edge, from its own features and those of its two atoms, and a
residual update of each atom by its messages. As in MEGNet, messages are averaged, an edge keeps
what it said, and atoms and edges are pooled by Set2Set; docs/results.md compares these choices.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from trainables.kernels.ops import gather
from trainables.models import cutoffs
from trainables.models.embedding import HybridEmbedding
from trainables.models.layers import (
    GaussianBasis,
    Generators,
    GlorotLinear,
    Set2Set,
    scatter_mean,
)
from trainables.representations.graph_batch import GraphBatch

GAUSSIANS = 17  # as dense as the 32 to 8 Å of the paper


class Block(nn.Module):
    """One update of edges and atoms, each with a residual.

    Args:
        width: A.
        depth: layers of a message.
    """

    def __init__(self, generators: Generators, width: int, depth: int) -> None:
        super().__init__()
        first = GlorotLinear(generators, 3 * width, width)
        assert first.bias is not None
        # of dst, src and the edge: a product of each part is cheaper than one of all, gathered
        self.parts = nn.ParameterList(part.clone() for part in first.weight.data.split(width, 1))
        self.bias = first.bias
        self.layers = nn.ModuleList(GlorotLinear(generators, width, width) for _ in range(1, depth))
        self.atom = GlorotLinear(generators, width, width)

    def forward(self, v_kna: Tensor, e_kea: Tensor, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Updated atoms [K, N, A] and edges [K, E, A]."""
        own, other, edge = self.parts
        message_kea = silu(
            gather(torch.bmm(v_kna, own) + self.bias, batch.dst)
            + gather(torch.bmm(v_kna, other), batch.src)
            + torch.bmm(e_kea, edge)
        )
        for layer in self.layers:
            message_kea = silu(layer(message_kea))
        mean_kna = scatter_mean(message_kea, batch.dst, batch.nodes, batch.count)
        return v_kna + silu(self.atom(mean_kna)), e_kea + message_kea


class COGN(nn.Module):
    """[K, B] standardised predictions of K networks.

    The mean over no edges is 0, and so is Set2Set: isolated atoms need no special case.

    Args:
        generators: one for each model; they alone determine the initial weights.
        embedding: vectors of the elements.
        width, layers, depth: see `COGNOptions`.
        outputs: numbers a crystal; None for one, without an axis of its own.
    """

    def __init__(
        self,
        generators: Generators,
        embedding: HybridEmbedding,
        *,
        width: int,
        layers: int,
        depth: int,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        spacing = cutoffs.MEGNET / (GAUSSIANS - 1)
        self.basis = GaussianBasis(0.0, cutoffs.MEGNET, GAUSSIANS, spacing * math.sqrt(2))
        self.atoms = GlorotLinear(generators, embedding.dim, width)
        self.edges = GlorotLinear(generators, GAUSSIANS, width)
        self.blocks = nn.ModuleList(Block(generators, width, depth) for _ in range(layers))
        self.pool_atoms = Set2Set(generators, width)
        self.pool_edges = Set2Set(generators, width)
        self.head = GlorotLinear(generators, 4 * width, width)
        self.out = GlorotLinear(generators, width, outputs or 1)
        self._single = outputs is None

    def _passed(self, batch: GraphBatch) -> tuple[list[Tensor], Tensor]:
        """Atoms [K, N, A] after each block, and edges [K, E, A] after the last."""
        v_kna = gather(silu(self.atoms(self.embedding())), batch.z)
        e_kea = gather(silu(self.edges(self.basis(batch.length))), batch.edge_length)
        layers = []
        for block in self.blocks:
            v_kna, e_kea = block(v_kna, e_kea, batch)
            layers.append(v_kna)
        return layers, e_kea

    def node_layers(self, batch: GraphBatch) -> list[Tensor]:
        """Node features [K, N, A] after each block."""
        return self._passed(batch)[0]

    def forward(self, batch: GraphBatch) -> Tensor:
        """Standardised predictions, [K, B]; [K, B, outputs] if their number is given."""
        layers, e_kea = self._passed(batch)
        size = batch.crystals
        atoms = self.pool_atoms(layers[-1], batch.multiplicity, batch.node_crystal, size)
        edges = self.pool_edges(e_kea, batch.bonds, batch.edge_crystal, size)
        said = self.out(silu(self.head(torch.cat([atoms, edges], dim=-1))))
        return said.squeeze(-1) if self._single else said
