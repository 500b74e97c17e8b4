"""Heads: from the node features of a plain backbone to what is learned.

Legend: B crystals, N nodes, A node width.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import softplus

from trainables.representations.graph_batch import Batch


class ScalarHead(nn.Module):
    """One number a crystal: the mean over its atoms of a two-layer network, as SchNet's."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.out = nn.Linear(width, 1)

    def forward(self, nodes_na: Tensor, batch: Batch) -> Tensor:
        """[B], each node counted as often as atoms it stands for."""
        site_n = self.out(softplus(self.hidden(nodes_na))).squeeze(-1)
        zero_b = site_n.new_zeros(batch.crystals)
        total_b = zero_b.index_add(0, batch.node_crystal, site_n * batch.multiplicity)
        atoms_b = zero_b.index_add(0, batch.node_crystal, batch.multiplicity)
        return total_b / atoms_b
