"""The hybrid element embedding: handcrafted and learned vectors, mixed.

Section 4.1.2 and eq. 4.1 of the thesis (docs/references.md).

Legend: K models, Z = 119 rows by atomic number (row 0 unused), D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainables.models.layers import Generators, Linear
from trainables.models.mixing import Mixing


class HybridEmbedding(nn.Module):
    """Element vectors of K models, each with its own mixing.

    h = descriptor · W + b, a trainable projection of the 92 handcrafted columns; l a trainable
    table. Both channels exist in every model, so that models of all mixings can be stacked; a
    channel of weight 0 gets no gradient.
    """

    descriptor: Tensor
    w_h: Tensor
    w_l: Tensor

    def __init__(
        self, generators: Generators, mixings: Sequence[Mixing], descriptor: Tensor, dim: int
    ) -> None:
        super().__init__()
        self.projection = Linear(generators, descriptor.shape[1], dim)
        self.table = nn.Parameter(
            torch.stack([torch.randn(len(descriptor), dim, generator=g) for g in generators])
        )
        self.register_buffer("descriptor", descriptor, persistent=False)
        weight_h = torch.tensor([m.handcrafted for m in mixings], dtype=torch.float64)
        weight_l = torch.tensor([m.learned for m in mixings], dtype=torch.float64)
        self.register_buffer("w_h", weight_h.to(self.table.dtype).reshape(-1, 1, 1))
        self.register_buffer("w_l", weight_l.to(self.table.dtype).reshape(-1, 1, 1))

    def channels(self) -> tuple[Tensor, Tensor]:
        """h and l, each [K, Z, D], before they are weighted."""
        return self.projection(self.descriptor), self.table

    def forward(self) -> Tensor:
        """The mixed vectors z [K, Z, D]."""
        h_kzd, l_kzd = self.channels()
        return self.w_h * h_kzd + self.w_l * l_kzd
