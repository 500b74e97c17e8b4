"""The workers that train together, each on its share of every batch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor, nn


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


class Joined:
    """The workers of torch's default process group: gloo on CPUs, NCCL on GPUs."""

    def __init__(self) -> None:
        self.rank, self.size = torch.distributed.get_rank(), torch.distributed.get_world_size()

    def add(self, values: Tensor) -> None:
        """See `Group`."""
        torch.distributed.all_reduce(values)


def add_gradients(group: Group, parameters: Iterable[nn.Parameter]) -> None:
    """Replaces gradients by their sums over all workers, in one message."""
    if group.size == 1:
        return
    gradients = [one.grad for one in parameters if one.grad is not None]
    message = torch.cat([gradient.flatten() for gradient in gradients])
    group.add(message)
    parts = message.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
