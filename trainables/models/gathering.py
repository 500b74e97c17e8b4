"""Values of several workers inside a network: what a loss over the whole batch needs.

Legend: W workers, … the shape of a worker's values.

A worker's loss is its part of the loss of the whole batch, and gradients of parameters are added up
afterwards (`training/group.py`). So the gradient of what all workers see is the sum of the
gradients that each of them has for it.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


class Group(Protocol):
    """Workers that hold the same models.

    Attributes:
        rank: of this worker, from 0.
        size: number of workers.
    """

    rank: int
    size: int

    def add(self, values: Tensor) -> None:
        """Puts into `values` the sums over all workers, the same bits in each."""


class Alone:
    """One worker."""

    rank, size = 0, 1

    def add(self, values: Tensor) -> None:
        """Leaves the values as they are."""


ALONE = Alone()


def summed(values: Tensor, group: Group) -> Tensor:
    """The sums of the values over all workers; also of a plain network under `torch.func.vmap`.

    All workers call it in the same order.
    """
    if group.size == 1:
        return values
    total: Tensor = _Summed.apply(values, group)
    return total


def gathered(values: Tensor, group: Group) -> Tensor:
    """[W, …] the values of each worker."""
    if group.size == 1:
        return values[None]
    ours = torch.arange(group.size, device=values.device) == group.rank
    own = ours.to(values.dtype).view(-1, *[1] * values.dim())
    return summed(values[None] * own, group)


def _added(values: Tensor, group: Group) -> Tensor:
    total = values.clone(memory_format=torch.contiguous_format)
    group.add(total)
    return total


class _Summed(Function):
    @staticmethod
    def forward(values: Tensor, group: Group) -> Tensor:
        return _added(values, group)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Group], output: Tensor) -> None:
        _, ctx.group = inputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _added(gradient, ctx.group), None

    @staticmethod
    def vmap(
        info: Any, dims: tuple[int | None, ...], values: Tensor, group: Group
    ) -> tuple[Tensor, int]:
        assert dims[0] is not None  # values are what differs between models
        return _Summed.apply(values.movedim(dims[0], 0), group), 0
