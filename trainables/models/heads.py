"""Heads: from the node features of a plain backbone to what is learned.

Legend: B crystals, N nodes, A node width, L numbers of a crystal.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import softplus

from trainables.representations.graph_batch import Batch


class CrystalHead(nn.Module):
    """Numbers of a crystal: the mean over its atoms of a two-layer network, as SchNet's.

    Args:
        width: A.
        outputs: L; None for one number, without an axis of its own.
    """

    def __init__(self, width: int, outputs: int | None = None) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.out = nn.Linear(width, outputs or 1)
        self._single = outputs is None

    def forward(self, nodes_na: Tensor, batch: Batch) -> Tensor:
        """[B], or [B, L]; each node is counted as often as atoms it stands for."""
        weight_n, place_n = batch.multiplicity, batch.node_crystal
        site = self.out(softplus(self.hidden(nodes_na)))
        if self._single:
            site = site.squeeze(-1)
        else:
            weight_n = weight_n[:, None]
        zero = site.new_zeros(batch.crystals, *site.shape[1:])
        atoms_b = site.new_zeros(batch.crystals).index_add(0, place_n, batch.multiplicity)
        total = zero.index_add(0, place_n, site * weight_n)
        return total / (atoms_b if self._single else atoms_b[:, None])


class SiteHead(nn.Module):
    """A number a node, by a two-layer network; for graphs whose nodes are atoms.

    Args:
        width: A.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.out = nn.Linear(width, 1)

    def forward(self, nodes_na: Tensor, batch: Batch) -> Tensor:
        """[N]."""
        site_n1: Tensor = self.out(softplus(self.hidden(nodes_na)))
        return site_n1.squeeze(-1)
