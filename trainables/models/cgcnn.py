"""CGCNN (Xie & Grossman 2018, doi:10.1103/PhysRevLett.120.145301) over quotient graphs.

Legend: K models, B crystals, N nodes, E edges, L distinct bond lengths, A node width, C = 2A
channels of a message, G Gaussians, D width of a crystal's vector.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainables.kernels.ops import gated_messages, gather, normed_gated_messages, softplus
from trainables.models import cutoffs
from trainables.models.embedding import HybridEmbedding
from trainables.models.layers import (
    BatchNorm,
    GaussianBasis,
    Generators,
    Linear,
    scatter_mean,
)
from trainables.representations.graph_batch import GraphBatch


class GatedConvolution(nn.Module):
    """v_i' = softplus(v_i + BN₂(Σ_j n_ij σ(filter)·softplus(core))).

    [filter, core] = BN₁(W[v_i, v_j, e_ij]), n_ij the neighbours that an edge stands for: eq. 5
    with norms (eqs 2.5–2.7 of the thesis).

    W is applied in parts, W₁v_i + W₂v_j + W₃e_ij: products per node and per distinct length, then
    a gather per edge. It needs no bias, since BN₁ subtracts it again.
    """

    def __init__(self, generators: Generators, width: int, d_edge: int) -> None:
        super().__init__()
        # Drawn as one matrix, so that its scale is that of the published layer.
        whole = Linear(generators, 2 * width + d_edge, 2 * width, bias=False).weight.data
        self.own = nn.Parameter(whole[:, :width].clone())
        self.other = nn.Parameter(whole[:, width : 2 * width].clone())
        self.edge = nn.Parameter(whole[:, 2 * width :].clone())
        self.norm_edges = BatchNorm(len(generators), 2 * width)
        self.norm_nodes = BatchNorm(len(generators), width)

    def forward(self, v_kna: Tensor, length_lg: Tensor, batch: GraphBatch) -> Tensor:
        """New node features, [K, N, A].

        Args:
            length_lg: the batch's distinct bond lengths in the Gaussian basis.
        """
        length_klg = length_lg.expand(len(v_kna), *length_lg.shape)
        own_knc, other_knc = torch.bmm(v_kna, self.own), torch.bmm(v_kna, self.other)
        parts = own_knc, other_knc, torch.bmm(length_klg, self.edge)
        total_kna = self._messages(parts, batch)
        return softplus(v_kna + self.norm_nodes(total_kna, batch.multiplicity))

    def _messages(self, parts: tuple[Tensor, Tensor, Tensor], batch: GraphBatch) -> Tensor:
        """The sum of messages to each node, [K, N, A]."""
        indices = batch.dst, batch.src, batch.edge_length
        norm = self.norm_edges
        # A batch without edges has no statistics, and no messages either.
        if not norm.training or not len(batch.dst):
            scale_k1c = norm.weight * torch.rsqrt(norm.var + norm.eps)
            offset_k1c = norm.bias - norm.mean * scale_k1c
            return gated_messages(parts, indices, batch.count, scale_k1c, offset_k1c)
        total_kna, mean_k1c, var_k1c = normed_gated_messages(
            parts, indices, batch.count, batch.bonds, norm.weight, norm.bias, norm.eps
        )
        norm.remember(mean_k1c, var_k1c, batch.bonds)
        return total_kna


class CGCNN(nn.Module):
    """[K, B] standardised predictions of K crystal graph convolutional networks.

    Args:
        generators: one for each model; they alone determine the initial weights.
        embedding: vectors of the elements.
        conv_width, layers, pooled: see `CGCNNOptions`.
        outputs: numbers a crystal; None for one, without an axis of its own.
    """

    def __init__(
        self,
        generators: Generators,
        embedding: HybridEmbedding,
        *,
        conv_width: int | None,
        layers: int,
        pooled: int,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        width = conv_width or embedding.dim
        self.embedding = embedding
        self.widen = (
            Linear(generators, embedding.dim, width) if width != embedding.dim else nn.Identity()
        )
        self.basis = GaussianBasis(0.0, cutoffs.CGCNN, 41, 0.2)
        self.convolutions = nn.ModuleList(
            GatedConvolution(generators, width, len(self.basis.centres)) for _ in range(layers)
        )
        self.pooled = Linear(generators, width, pooled)
        self.out = Linear(generators, pooled, outputs or 1)
        self._single = outputs is None

    def node_layers(self, batch: GraphBatch) -> list[Tensor]:
        """Node features [K, N, A] after each convolution."""
        v_kna = gather(self.widen(self.embedding()), batch.z)
        length_lg = self.basis(batch.length)
        layers = []
        for convolution in self.convolutions:
            v_kna = convolution(v_kna, length_lg, batch)
            layers.append(v_kna)
        return layers

    def forward(self, batch: GraphBatch) -> Tensor:
        """Standardised predictions, [K, B]; [K, B, outputs] if their number is given."""
        v_kna = self.node_layers(batch)[-1]
        crystal_kba = scatter_mean(v_kna, batch.node_crystal, batch.crystals, batch.multiplicity)
        crystal_kbd = softplus(self.pooled(softplus(crystal_kba)))
        said = self.out(crystal_kbd)
        return said.squeeze(-1) if self._single else said
