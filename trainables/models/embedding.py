"""The hybrid element embedding: handcrafted and learned vectors, mixed.

Section 4.1.2 and eq. 4.1 of the thesis (docs/references.md).

Legend: K models, Z = 119 rows by atomic number (row 0 unused), D dimensions, C columns of the
handcrafted descriptor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from trainables.models.layers import Generators, Linear
from trainables.models.mixing import AUTO, BALANCED, RESIDUAL, Mixing
from trainables.models.recipe import ElementInit

# Crystals with an element at which half of its learned residual counts.
HALF_TRUSTED = 10.0
Channel = Literal["h", "l"]
CHANNELS: tuple[Channel, ...] = ("h", "l")
KERAS = 0.05  # its Embedding starts as U(−0.05, 0.05)


class HybridEmbedding(nn.Module):
    """Element vectors of K models, each with its own mixing: z = w_H·h + w_L·l.

    h = descriptor · W + b, a trainable projection of the handcrafted columns; l a table of vectors.
    Both channels exist in every model, so that models of all mixings can be stacked; a channel of
    weight 0 gets no gradient. For the same reason each has a `gate`, which `auto` alone learns.

    Args:
        descriptor: [Z, C] handcrafted columns.
        dim: D.
        start: initial values of l; all are made of the same draws.
        counts: [Z] crystals of the training part that have the element, or [K, Z] of each model's;
            needed by a residual.
    """

    descriptor: Tensor
    table: Tensor
    w_h: Tensor
    w_l: Tensor
    learns_gate: Tensor

    def __init__(
        self,
        generators: Generators,
        mixings: Sequence[Mixing],
        descriptor: Tensor,
        dim: int,
        *,
        start: ElementInit = "normal",
        counts: Tensor | None = None,
    ) -> None:
        super().__init__()
        rows = len(descriptor)
        self.dim = dim
        self.projection = Linear(generators, descriptor.shape[1], dim)
        normal = torch.stack([torch.randn(rows, dim, generator=g) for g in generators])
        residual = [mixing.label == RESIDUAL for mixing in mixings]
        table = _started(normal, start)
        table[torch.tensor(residual)] = 0
        if start == "frozen":
            self.register_buffer("table", table)
        else:
            self.table = nn.Parameter(table)
        self.gate = nn.Parameter(torch.zeros(len(mixings), rows, 1))
        self.register_buffer("descriptor", descriptor, persistent=False)
        learned = torch.tensor([m.learned for m in mixings], dtype=torch.float64).view(-1, 1, 1)
        w_l = learned.repeat(1, rows, 1)
        if counts is not None:
            trusted = (counts / (counts + HALF_TRUSTED)).to(w_l.dtype)
            chosen = torch.tensor(residual)
            w_l[chosen] *= trusted.expand(len(mixings), rows)[chosen, :, None]
        w_h = torch.tensor([m.handcrafted for m in mixings], dtype=torch.float64).view(-1, 1, 1)
        self.register_buffer("w_h", w_h.to(self.table.dtype))
        self.register_buffer("w_l", w_l.to(self.table.dtype))
        gated = torch.tensor([float(mixing.label == AUTO) for mixing in mixings]).view(-1, 1, 1)
        self.register_buffer("learns_gate", gated)
        self._gated = bool(gated.any())

    def channels(self) -> tuple[Tensor, Tensor]:
        """h and l, each [K, Z, D], before they are weighted."""
        return self.projection(self.descriptor), self.table

    def weights(self) -> tuple[Tensor, Tensor]:
        """w_H and w_L, [K, 1 or Z, 1]."""
        if not self._gated:
            return self.w_h, self.w_l
        logit = self.gate + BALANCED * math.log(10)  # ln(w_L/w_H)
        return (
            torch.where(self.learns_gate > 0, torch.sigmoid(-logit), self.w_h),
            torch.where(self.learns_gate > 0, torch.sigmoid(logit), self.w_l),
        )

    def forward(self) -> Tensor:
        """The mixed vectors z [K, Z, D]."""
        h_kzd, l_kzd = self.channels()
        w_h, w_l = self.weights()
        return w_h * h_kzd + w_l * l_kzd

    @contextmanager
    def replaced(self, channel: Channel, weights_zz: Tensor) -> Iterator[None]:
        """Within it, the elements have other vectors of a channel: weighted means of the own ones.

        Args:
            weights_zz: [Z, Z], a row an element; each sums to 1.
        """
        part = self.descriptor if channel == "h" else self.table
        own = part.data
        part.data = weights_zz.to(own) @ own
        try:
            yield
        finally:
            part.data = own

    @torch.no_grad()
    def log_ratio(self, seen: Tensor) -> Tensor:
        """log10(‖w_L l‖/‖w_H h‖) over some elements, [K]; infinite where one channel is zero.

        Args:
            seen: atomic numbers.
        """
        h_kzd, l_kzd = self.channels()
        w_h, w_l = self.weights()
        learned = (w_l * l_kzd)[:, seen].flatten(1).norm(dim=1)
        return torch.log10(learned / (w_h * h_kzd)[:, seen].flatten(1).norm(dim=1))


def _started(normal: Tensor, start: ElementInit) -> Tensor:
    """Initial vectors, made of draws of N(0, 1)."""
    if start == "zero":
        return torch.zeros_like(normal)
    if start == "uniform":
        return KERAS * torch.erf(normal / math.sqrt(2))  # the normal's distribution function
    return normal
