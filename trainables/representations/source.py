"""Where a training takes its batches from: a data set in memory, or one that stays outside.

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

# Of `Graphs`, and of the `DeviceGraphs` that are made of them and live beside them.
BYTES_PER_CRYSTAL, BYTES_PER_NODE, BYTES_PER_EDGE = 16 + 52, 5 + 8, 16 + 20


class GraphSource(Protocol):
    """B crystals with standardised targets, in batches of any order."""

    @property
    def target(self) -> Tensor:
        """[B] on the training device."""

    def __len__(self) -> int: ...

    def batches(self, order: Tensor, size: int) -> Iterator[GraphBatch]:
        """The crystals of `order` (on the host) in batches, as `even_parts` cuts them."""


def open_source(graphs: Graphs | GraphStore, target: np.ndarray, device: str) -> GraphSource:
    """The same batches, bit for bit, of graphs in memory and of graphs that are not.

    Args:
        target: [B] float64, standardised.
    """
    if isinstance(graphs, Graphs):
        return DeviceGraphs.load(graphs, target, device)
    return StreamedGraphs.open(graphs, target, device)


def resident_bytes(shard: Shard) -> int:
    """What a shard's graphs take in a worker that trains from memory; at most, if no length recurs.

    What is there while they are loaded, or in a step, comes on top of it.
    """
    crystals = shard.crystals * BYTES_PER_CRYSTAL
    return crystals + shard.nodes * BYTES_PER_NODE + shard.edges * BYTES_PER_EDGE


@dataclass(frozen=True)
class StreamedGraphs:
    """Graphs that come from a store batch by batch; only the targets stay in memory.

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
        """Takes standardised targets [B] to the device."""
        return cls(store, target, torch.from_numpy(target).to(device=device, dtype=dtype))

    def __len__(self) -> int:
        return len(self.known)

    def batches(self, order: Tensor, size: int) -> Iterator[GraphBatch]:
        """As `DeviceGraphs.batches`, from the store."""
        parts = [part.numpy() for part in even_parts(order, size)]
        device, dtype = self.target.device, self.target.dtype
        for part, graphs in zip(parts, self.store.in_order(parts), strict=True):
            loaded = DeviceGraphs.load(graphs, self.known[part], device, dtype)
            yield loaded.take(torch.arange(len(part)))
