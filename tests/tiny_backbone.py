"""The smallest backbone: what CONTRIBUTING requires of a new network, and nothing more."""

from __future__ import annotations

from torch import Tensor, nn

from trainables.models.stacking import Backbone
from trainables.representations.graph_batch import GraphBatch


class Tiny(Backbone):
    """One linear layer of the elements' vectors; bonds are not looked at."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.width = dim
        self.layer = nn.Linear(dim, dim)

    def forward(self, elements_zd: Tensor, batch: GraphBatch) -> list[Tensor]:
        return [self.layer(elements_zd)[batch.z].tanh()]
