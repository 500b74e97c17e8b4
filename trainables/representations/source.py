"""Sources of a training's batches: a data set in memory, or one in a store.

Legend: B crystals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from trainables.representations.batches import DeviceColumns, even_parts
from trainables.representations.columns import TARGET, Column, Columns, ranges
from trainables.representations.dataset import GraphStore


class GraphSource(Protocol):
    """B crystals with standardised targets, in batches of any order."""

    @property
    def target(self) -> Tensor:
        """[B, …], or [N, …] of nodes, on the training device."""

    def __len__(self) -> int: ...

    def batches(self, order: Tensor, size: int) -> Iterator[Any]:
        """Yields the crystals of `order` (on the host) in batches, cut by `even_parts`."""


def open_source(
    graphs: Columns | GraphStore,
    target: np.ndarray,
    device: str,
    known: Column = TARGET,
    target_ptr: np.ndarray | None = None,
) -> GraphSource:
    """Opens graphs in memory or in a store; the batches are the same to the bit.

    Args:
        target: [B, *known.shape], or [N, *known.shape] if it belongs to nodes; standardised.
        known: declaration of the target.
        target_ptr: [B+1] where the targets of each crystal start, if they belong to nodes.
    """
    if isinstance(graphs, Columns):
        return DeviceColumns.load(graphs, target, device, known=known)
    return StreamedColumns.open(graphs, target, device, known=known, target_ptr=target_ptr)


@dataclass(frozen=True)
class StreamedColumns:
    """Graphs that are read from a store batch by batch; only the targets stay in memory.

    Attributes:
        values: [B, *known.shape] or [N, *known.shape] float64 standardised targets.
        target: the same on the training device.
        known: declaration of the target.
        ptr: [B+1] where the targets of each crystal start.
    """

    store: GraphStore
    values: np.ndarray
    target: Tensor
    known: Column
    ptr: np.ndarray

    @classmethod
    def open(
        cls,
        store: GraphStore,
        target: np.ndarray,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        known: Column = TARGET,
        target_ptr: np.ndarray | None = None,
    ) -> StreamedColumns:
        """Copies standardised targets to the device; arguments as in `open_source`."""
        on_device = torch.from_numpy(target).to(device=device, dtype=dtype)
        ptr = np.arange(len(target) + 1) if target_ptr is None else target_ptr
        return cls(store, target, on_device, known, ptr)

    def __len__(self) -> int:
        return len(self.ptr) - 1

    def batches(self, order: Tensor, size: int) -> Iterator[Any]:
        """Yields the batches of `DeviceColumns.batches`, from the store."""
        parts = [part.numpy() for part in even_parts(order, size)]
        device, dtype = self.target.device, self.target.dtype
        for part, graphs in zip(parts, self.store.in_order(parts), strict=True):
            values = self.values[ranges(self.ptr, part)]
            loaded = DeviceColumns.load(graphs, values, device, dtype, self.known)
            yield loaded.take(torch.arange(len(part)))
