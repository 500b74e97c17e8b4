"""The workers that train together, each on its share of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from trainables.models.gathering import Group


class Joined:
    """The workers of torch's default process group: gloo on CPUs, NCCL on GPUs.

    They find each other by a file, as torch's other ways listen on every interface of a machine.

    Args:
        rank, size: see `Group` of `gathering.py`.
        meeting: a file that no other group has, on a disk that all workers share.
        device: that the models are on.
        one_machine: whether all workers are on this one; then they speak over its loopback alone.
    """

    def __init__(
        self, rank: int, size: int, meeting: Path, device: str, *, one_machine: bool
    ) -> None:
        self.rank, self.size = rank, size
        if one_machine:
            os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = "lo"
        torch.distributed.init_process_group(
            "gloo" if torch.device(device).type == "cpu" else "nccl",
            store=torch.distributed.FileStore(str(meeting), size),
            rank=rank,
            world_size=size,
        )

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
