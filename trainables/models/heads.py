"""Heads: from the node features of a plain backbone to what is learned.

Legend: B crystals, N nodes, A node width, L numbers of a crystal.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from trainables.kernels.ops import gather, scatter_sum
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


class Set2SetHead(nn.Module):
    """Numbers of a crystal, of what Set2Set reads of its atoms (`layers.py`, here of one model).

    A mean cannot single out an atom, on which a highest frequency, say, may depend.

    Args:
        width: A.
        outputs: L; None for one number, without an axis of its own.
    """

    iterations = 3

    def __init__(self, width: int, outputs: int | None = None) -> None:
        super().__init__()
        self.width = width
        self.input = nn.Linear(2 * width, 4 * width)
        self.recur = nn.Linear(width, 4 * width, bias=False)
        self.hidden = Dense(2 * width, width)
        self.out = Dense(width, outputs or 1)
        self._single = outputs is None

    def forward(self, nodes_na: Tensor, batch: Batch) -> Tensor:
        """[B], or [B, L]; each node is counted as often as atoms it stands for."""
        said: Tensor = self.out(silu(self.hidden(self._read(nodes_na, batch))))
        return said.squeeze(-1) if self._single else said

    def _read(self, x_na: Tensor, batch: Batch) -> Tensor:
        """The last query and what it read, [B, 2A]."""
        place_n, weight_n, size = batch.node_crystal, batch.multiplicity, batch.crystals
        query_ba = x_na.new_zeros(size, self.width)
        cell_ba = torch.zeros_like(query_ba)
        read = torch.cat([query_ba, cell_ba], dim=-1)
        for _ in range(self.iterations):
            gates = (self.input(read) + self.recur(query_ba)).chunk(4, dim=-1)
            forget, take, value, show = gates
            cell_ba = torch.sigmoid(forget) * cell_ba + torch.sigmoid(take) * torch.tanh(value)
            query_ba = torch.sigmoid(show) * torch.tanh(cell_ba)
            logit_n1 = (x_na * gather(query_ba, place_n)).sum(dim=-1, keepdim=True)
            share_n1 = shares(logit_n1, place_n, size, weight_n)
            seen_ba = scatter_sum(x_na * share_n1, place_n, size, weight_n)
            read = torch.cat([query_ba, seen_ba], dim=-1)
        return read


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
