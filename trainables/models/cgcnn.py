"""CGCNN (Xie & Grossman 2018, doi:10.1103/PhysRevLett.120.145301) over quotient graphs.

Legend: K models, B crystals, N nodes, E edges, L distinct bond lengths, A node width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from trainables.kernels.ops import gated_messages, gather, normed_gated_messages, softplus
from trainables.models.embedding import HybridEmbedding, Mixing
from trainables.models.graph_batch import GraphBatch
from trainables.models.layers import (
    BatchNorm,
    GaussianBasis,
    Generators,
    Linear,
    scatter_mean,
)


class GatedConvolution(nn.Module):
    """v_i' = softplus(v_i + BN₂(Σ_j n_ij σ(filter)·softplus(core))).

    [filter, core] = BN₁(W[v_i, v_j, e_ij]), n_ij the neighbours that an edge stands for.

    W is applied in parts, W₁v_i + W₂v_j + W₃e_ij: products per node and per distinct length, then
    a gather per edge. It needs no bias, since BN₁ subtracts it again.
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

    def forward(self, v: Tensor, length: Tensor, batch: GraphBatch) -> Tensor:
        lengths = length.expand(len(v), *length.shape)
        parts = torch.bmm(v, self.own), torch.bmm(v, self.other), torch.bmm(lengths, self.edge)
        total = self._messages(parts, batch)
        return softplus(v + self.norm_nodes(total, batch.multiplicity))

    def _messages(self, parts: tuple[Tensor, Tensor, Tensor], batch: GraphBatch) -> Tensor:
        indices = batch.dst, batch.src, batch.edge_length
        norm = self.norm_edges
        # A batch without edges has no statistics, and no messages either.
        if not norm.training or not len(batch.dst):
            scale = norm.weight * torch.rsqrt(norm.var + norm.eps)
            offset = norm.bias - norm.mean * scale
            return gated_messages(parts, indices, batch.count, scale, offset)
        total, mean, var = normed_gated_messages(
            parts, indices, batch.count, batch.bonds, norm.weight, norm.bias, norm.eps
        )
        norm.remember(mean, var, batch.bonds)
        return total


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

    @staticmethod
    def width_of(weights: Mapping[str, Tensor]) -> int:
        """A, as the weights of a model tell: `conv_width`, or `dim` where that was None."""
        return weights["convolutions.0.own"].shape[1]

    def node_layers(self, batch: GraphBatch) -> list[Tensor]:
        """Node features [K, N, A] after each convolution."""
        v = gather(self.widen(self.embedding()), batch.z)
        length = self.basis(batch.length)
        layers = []
        for convolution in self.convolutions:
            v = convolution(v, length, batch)
            layers.append(v)
        return layers

    def forward(self, batch: GraphBatch) -> Tensor:
        v = self.node_layers(batch)[-1]
        crystal = scatter_mean(v, batch.node_crystal, batch.crystals, batch.multiplicity)
        crystal = softplus(self.pooled(softplus(crystal)))
        return self.out(crystal).squeeze(-1)
