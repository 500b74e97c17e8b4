"""CGCNN (Xie & Grossman 2018, doi:10.1103/PhysRevLett.120.145301) over quotient graphs.

Legend: K models, B crystals, N nodes, E edges, A node width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from trainables.models.embedding import HybridEmbedding, Mixing
from trainables.models.graph_batch import GraphBatch
from trainables.models.layers import (
    BatchNorm,
    GaussianBasis,
    Generators,
    Linear,
    gather,
    scatter_mean,
    scatter_sum,
)


class GatedConvolution(nn.Module):
    """v_i' = softplus(v_i + BN₂(Σ_j n_ij σ(filter)·softplus(core))).

    [filter, core] = BN₁(W[v_i, v_j, e_ij]), n_ij the neighbours that an edge stands for.

    W is applied in parts, W₁v_i + W₂v_j + W₃e_ij: products per node, then a gather per edge. It
    needs no bias, since BN₁ subtracts it again.
    """

    def __init__(self, generators: Generators, width: int, d_edge: int) -> None:
        super().__init__()
        # Drawn as the one matrix that it is, so that its scale is that of the published layer.
        whole = Linear(generators, 2 * width + d_edge, 2 * width, bias=False).weight.data
        self.own = nn.Parameter(whole[:, :width].clone())
        self.other = nn.Parameter(whole[:, width : 2 * width].clone())
        self.edge = nn.Parameter(whole[:, 2 * width :].clone())
        self.norm_edges = BatchNorm(len(generators), 2 * width)
        self.norm_nodes = BatchNorm(len(generators), width)

    def forward(self, v: Tensor, edge: Tensor, batch: GraphBatch) -> Tensor:
        z = torch.bmm(edge.expand(len(v), *edge.shape), self.edge)
        z = z + gather(torch.bmm(v, self.own), batch.dst)
        z = z + gather(torch.bmm(v, self.other), batch.src)
        gate, core = self.norm_edges(z, batch.bonds).chunk(2, dim=-1)
        message = torch.sigmoid(gate) * softplus(core) * batch.count[:, None]
        total = scatter_sum(message, batch.dst, batch.nodes)
        return softplus(v + self.norm_nodes(total, batch.multiplicity))


class CGCNN(nn.Module):
    """[K, B] standardised predictions of K crystal graph convolutional networks.

    Args:
        generators: one a model; they alone decide the initial weights.
        mixings: [K].
        descriptor: [119, 92] handcrafted columns.
        dim: of the element embedding.
        conv_width: node width A; the embedding's dimension where None.
    """

    def __init__(
        self,
        generators: Generators,
        mixings: Sequence[Mixing],
        descriptor: Tensor,
        dim: int,
        *,
        conv_width: int | None = None,
        layers: int = 3,
        pooled: int = 128,
    ) -> None:
        super().__init__()
        width = conv_width or dim
        self.embedding = HybridEmbedding(generators, mixings, descriptor, dim)
        self.widen = Linear(generators, dim, width) if width != dim else nn.Identity()
        self.basis = GaussianBasis(0.0, 8.0, 41, 0.2)
        self.convolutions = nn.ModuleList(
            GatedConvolution(generators, width, 41) for _ in range(layers)
        )
        self.pooled = Linear(generators, width, pooled)
        self.out = Linear(generators, pooled, 1)

    def node_layers(self, batch: GraphBatch) -> list[Tensor]:
        """Node features [K, N, A] after each convolution."""
        v = gather(self.widen(self.embedding()), batch.z)
        edge = self.basis(batch.distance)
        layers = []
        for convolution in self.convolutions:
            v = convolution(v, edge, batch)
            layers.append(v)
        return layers

    def forward(self, batch: GraphBatch) -> Tensor:
        v = self.node_layers(batch)[-1]
        crystal = scatter_mean(v, batch.node_crystal, batch.crystals, batch.multiplicity)
        crystal = softplus(self.pooled(softplus(crystal)))
        return self.out(crystal).squeeze(-1)
