"""The smallest backbone: what CONTRIBUTING requires of a new network, and nothing more."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from trainables.models.embedding import HybridEmbedding, Mixing
from trainables.models.layers import Generators, Linear, scatter_mean
from trainables.representations.graph_batch import GraphBatch


class Tiny(nn.Module):
    """[K, B]: the mean over a crystal's atoms of one linear layer; bonds are ignored."""

    def __init__(
        self, generators: Generators, mixings: Sequence[Mixing], descriptor: Tensor, dim: int
    ) -> None:
        super().__init__()
        self.embedding = HybridEmbedding(generators, mixings, descriptor, dim)
        self.layer = Linear(generators, dim, dim)
        self.out = Linear(generators, dim, 1)

    def node_layers(self, batch: GraphBatch) -> list[Tensor]:
        return [self.layer(self.embedding()[:, batch.z]).tanh()]

    def forward(self, batch: GraphBatch) -> Tensor:
        v = self.node_layers(batch)[-1]
        crystal = scatter_mean(v, batch.node_crystal, batch.crystals, batch.multiplicity)
        return self.out(crystal).squeeze(-1)
