"""MEGNet and coGN whose edges know potentials of sublattices; see `potential_graph.py`.

Legend as in `cogn.py`; P potentials.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from trainables.kernels.ops import gather
from trainables.models.cogn import COGN
from trainables.models.layers import GaussianBasis, Generators, GlorotLinear
from trainables.models.megnet import MEGNet, PreDense

RANGES = ((-1.2, 0.6), (-3.6, 0.0), (-5.2, -1.0))
GAUSSIANS = 16


class PotentialBasis(nn.Module):
    """[E, P] -> [E, P G]: Gaussians of each potential."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            GaussianBasis(low, high, GAUSSIANS, (high - low) / (GAUSSIANS - 1) * math.sqrt(2))
            for low, high in RANGES
        )

    def forward(self, p_ep: Tensor) -> Tensor:
        return torch.cat([part(p_ep[:, i]) for i, part in enumerate(self.parts)], dim=-1)


class PotentialCOGN(COGN):
    """coGN with potentials."""

    def __init__(self, generators: Generators, embedding: Any, *, width: int, **rest: Any) -> None:
        super().__init__(generators, embedding, width=width, **rest)
        self.potentials = PotentialBasis()
        self.of_potential = GlorotLinear(generators, len(RANGES) * GAUSSIANS, width)

    def _passed(self, batch: Any) -> tuple[list[Tensor], Tensor]:
        v_kna = gather(silu(self.atoms(self.embedding())), batch.z)
        e_kea = gather(self.edges(self.basis(batch.length)), batch.edge_length)
        e_kea = silu(e_kea + self.of_potential(self.potentials(batch.potential)))
        layers = []
        for block in self.blocks:
            v_kna, e_kea = block(v_kna, e_kea, batch)
            layers.append(v_kna)
        return layers, e_kea


class PotentialMEGNet(MEGNet):
    """MEGNet with potentials."""

    def __init__(self, generators: Generators, embedding: Any, **rest: Any) -> None:
        super().__init__(generators, embedding, **rest)
        self.potentials = PotentialBasis()
        size = len(self.basis.centres) + len(RANGES) * GAUSSIANS
        self.bonds = PreDense(generators, size)

    def _passed(self, batch: Any) -> tuple[list[Tensor], Tensor, Tensor]:
        v_knw = gather(self.atoms(self.embedding()), batch.z)
        of_length = self.basis(batch.length)[batch.edge_length]
        e_kew = self.bonds(torch.cat([of_length, self.potentials(batch.potential)], dim=-1))
        u_kbw = self.state(batch.length.new_zeros(batch.crystals, 2))
        batch = replace(batch, edge_length=torch.arange(len(batch.edge_length)))
        layers = []
        for block in self.blocks:
            v_knw, e_kew, u_kbw = block(v_knw, e_kew, u_kbw, batch)
            layers.append(v_knw)
        return layers, e_kew, u_kbw
