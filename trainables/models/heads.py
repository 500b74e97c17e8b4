"""Heads: from the node features of a plain backbone to what is learned.

Legend: B crystals, N nodes, A node width, L numbers of a crystal.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from trainables.kernels.ops import scatter_sum
from trainables.models.plain_layers import Dense, shares
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


class AttentionHead(nn.Module):
    """Numbers of a crystal, of what an attention reads of its atoms and of their mean.

    A mean cannot single out an atom, on which a highest frequency, say, may depend.

    Args:
        width: A, which the heads of the attention divide evenly.
        outputs: L; None for one number, without an axis of its own.
    """

    heads = 4

    def __init__(self, width: int, outputs: int | None = None) -> None:
        super().__init__()
        self.logit = Dense(width, self.heads)
        self.value = Dense(width, width)
        self.hidden = Dense(2 * width, width)
        self.out = Dense(width, outputs or 1)
        self._single = outputs is None

    def forward(self, nodes_na: Tensor, batch: Batch) -> Tensor:
        """[B], or [B, L]; each node is counted as often as atoms it stands for."""
        place_n, weight_n, size = batch.node_crystal, batch.multiplicity, batch.crystals
        value_na = silu(self.value(nodes_na))
        share_nc = shares(self.logit(nodes_na), place_n, size, weight_n)
        share_na = share_nc.repeat_interleave(value_na.shape[-1] // self.heads, dim=-1)
        atoms_b = nodes_na.new_zeros(size).index_add(0, place_n, weight_n)
        pooled = [
            scatter_sum(value_na * share_na, place_n, size, weight_n),
            scatter_sum(value_na, place_n, size, weight_n) / atoms_b[:, None],
        ]
        said: Tensor = self.out(silu(self.hidden(torch.cat(pooled, dim=-1))))
        return said.squeeze(-1) if self._single else said


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
