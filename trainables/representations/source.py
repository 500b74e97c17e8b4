"""Sources of a training's batches: a data set in memory, or one in a store.

Legend: B crystals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from trainables.representations.batches import DeviceGraphs, even_parts
from trainables.representations.dataset import GraphStore
from trainables.representations.graph import Graphs
from trainables.representations.graph_batch import GraphBatch
from trainables.representations.shards import Shard

# Of `Graphs`, and of the `DeviceGraphs` that are made from them and coexist with them.
BYTES_PER_CRYSTAL, BYTES_PER_NODE, BYTES_PER_EDGE = 16 + 52, 5 + 8, 16 + 20


class GraphSource(Protocol):
    """B crystals with standardised targets, in batches of any order."""

    @property
    def target(self) -> Tensor:
        """[B] on the training device."""

    def __len__(self) -> int: ...

    def batches(self, order: Tensor, size: int) -> Iterator[GraphBatch]:
        """Yields the crystals of `order` (on the host) in batches, cut by `even_parts`."""


def open_source(graphs: Graphs | GraphStore, target: np.ndarray, device: str) -> GraphSource:
    """Opens graphs in memory or in a store; the batches are the same to the bit.

    Args:
        target: [B] float64, standardised.
    """
    if isinstance(graphs, Graphs):
        return DeviceGraphs.load(graphs, target, device)
    return StreamedGraphs.open(graphs, target, device)


def resident_bytes(shard: Shard) -> int:
    """Bytes of a shard's graphs in a worker that trains from memory, if all lengths are distinct.

    Temporary memory during loading or a step is not included.
    """
    crystals = shard.crystals * BYTES_PER_CRYSTAL
    return crystals + shard.nodes * BYTES_PER_NODE + shard.edges * BYTES_PER_EDGE


@dataclass(frozen=True)
class StreamedGraphs:
    """Graphs that are read from a store batch by batch; only the targets stay in memory.

    Attributes:
        known: [B] float64 standardised targets.
        target: the same on the training device.
    """

    store: GraphStore
    known: np.ndarray
    target: Tensor

    @classmethod
    def open(
        cls,
        store: GraphStore,
        target: np.ndarray,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> StreamedGraphs:
        """Copies standardised targets [B] to the device."""
        return cls(store, target, torch.from_numpy(target).to(device=device, dtype=dtype))

    def __len__(self) -> int:
        return len(self.known)

    def batches(self, order: Tensor, size: int) -> Iterator[GraphBatch]:
        """Yields the batches of `DeviceGraphs.batches`, from the store."""
        parts = [part.numpy() for part in even_parts(order, size)]
        device, dtype = self.target.device, self.target.dtype
        for part, graphs in zip(parts, self.store.in_order(parts), strict=True):
            loaded = DeviceGraphs.load(graphs, self.known[part], device, dtype)
            yield loaded.take(torch.arange(len(part)))
