"""SchNet (Schütt et al. 2018, doi:10.1063/1.5019779) of one model, over quotient graphs.

Legend: N nodes, E edges, L distinct bond lengths, Z elements, D dimensions of the embedding,
A node width, G Gaussians.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch_geometric.nn.models.schnet import CFConv, InteractionBlock

from trainables.kernels.ops import FilteredEdges, filtered_sum
from trainables.models import cutoffs
from trainables.models.layers import GaussianBasis
from trainables.models.stacking import Backbone
from trainables.representations.graph_batch import GraphBatch


def counted_edges(batch: GraphBatch) -> FilteredEdges:
    """The edges with a filter a length, which fades to 0 at the cutoff, and counts n_ij times."""
    fade_l = 0.5 * (torch.cos(batch.length * (math.pi / cutoffs.SCHNET)) + 1)
    weight_e = fade_l[batch.edge_length] * batch.count
    return FilteredEdges(batch.dst, batch.src, batch.edge_length, weight_e)


class CountedCFConv(CFConv):
    """PyTorch Geometric's continuous-filter convolution, of edges that stand for several.

    A filter depends on a distance alone, so it is made once for each distinct length.
    """

    def forward(self, x_na: Tensor, basis_lg: Tensor, edges: FilteredEdges) -> Tensor:
        """Σ_j n_ij W(r_ij) ∘ x_j between two linear layers, [N, A] (eq. 2)."""
        return self.lin2(filtered_sum(self.lin1(x_na), self.nn(basis_lg), edges))


class CountedInteraction(InteractionBlock):
    """PyTorch Geometric's interaction block with a `CountedCFConv` inside."""

    def __init__(self, width: int, gaussians: int) -> None:
        super().__init__(width, gaussians, width, cutoffs.SCHNET)
        self.conv = CountedCFConv(width, width, width, self.mlp, cutoffs.SCHNET)

    def forward(self, x_na: Tensor, basis_lg: Tensor, edges: FilteredEdges) -> Tensor:
        """What the neighbours add to each node, [N, A]."""
        return self.lin(self.act(self.conv(x_na, basis_lg, edges)))


class SchNet(Backbone):
    """Node features of a SchNet; the head is apart.

    Args:
        dim: D.
        width: A, of nodes and filters.
        layers: interactions.
        gaussians: G, evenly from 0 Å to the cutoff.
    """

    def __init__(self, dim: int, width: int = 32, layers: int = 3, gaussians: int = 20) -> None:
        super().__init__()
        self.width = width
        self.widen = nn.Linear(dim, width)
        # Ours rather than PyTorch Geometric's, whose far tails are denormal numbers.
        spacing = cutoffs.SCHNET / (gaussians - 1)
        self.basis = GaussianBasis(0.0, cutoffs.SCHNET, gaussians, spacing * math.sqrt(2))
        self.interactions = nn.ModuleList(
            CountedInteraction(width, gaussians) for _ in range(layers)
        )

    def forward(self, elements_zd: Tensor, batch: GraphBatch) -> list[Tensor]:
        """Node features [N, A] after each interaction."""
        x_na = self.widen(elements_zd)[batch.z]
        basis_lg, edges = self.basis(batch.length), counted_edges(batch)
        layers = []
        for interaction in self.interactions:
            x_na = x_na + interaction(x_na, basis_lg, edges)
            layers.append(x_na)
        return layers
