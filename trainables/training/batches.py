"""A data set that lives on the training device; a batch is index arithmetic.

Legend: B crystals, N nodes, E edges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainables.crystals.graph import PER_ANGSTROM, Graphs
from trainables.models.graph_batch import GraphBatch


def _rows(ptr: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Concatenated ranges ptr[c]:ptr[c+1] of the chosen c, and their new boundaries [C+1]."""
    sizes = ptr[chosen + 1] - ptr[chosen]
    ends = torch.cumsum(sizes, 0)
    new_ptr = torch.cat([ends.new_zeros(1), ends])
    shift = torch.repeat_interleave(ptr[chosen] - new_ptr[:-1], sizes)
    return torch.arange(len(shift), device=ptr.device) + shift, new_ptr


@dataclass(frozen=True)
class DeviceGraphs:
    """`Graphs` and standardised targets as tensors of one device and float type."""

    node_ptr: Tensor
    edge_ptr: Tensor
    z: Tensor
    multiplicity: Tensor
    dst: Tensor
    src: Tensor
    distance: Tensor
    count: Tensor
    target: Tensor

    @classmethod
    def load(
        cls,
        graphs: Graphs,
        target: np.ndarray,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> DeviceGraphs:
        """Copies the flat arrays to the device; distances become Å."""

        def index(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array.astype(np.int64)).to(device)

        def number(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array.astype(np.float64)).to(device=device, dtype=dtype)

        return cls(
            node_ptr=index(graphs.node_ptr),
            edge_ptr=index(graphs.edge_ptr),
            z=index(graphs.z),
            multiplicity=number(graphs.multiplicity),
            dst=index(graphs.dst),
            src=index(graphs.src),
            distance=number(graphs.distance / PER_ANGSTROM),
            count=number(graphs.count),
            target=number(np.asarray(target)),
        )

    def __len__(self) -> int:
        return len(self.target)

    def take(self, chosen: Tensor) -> GraphBatch:
        """The chosen crystals [B], in that order, as one batch."""
        nodes, node_ptr = _rows(self.node_ptr, chosen)
        edges, edge_ptr = _rows(self.edge_ptr, chosen)
        crystals = torch.arange(len(chosen), device=chosen.device)
        node_crystal = torch.repeat_interleave(crystals, node_ptr.diff())
        edge_crystal = torch.repeat_interleave(crystals, edge_ptr.diff())
        base = node_ptr[edge_crystal]
        multiplicity, count = self.multiplicity[nodes], self.count[edges]
        dst = self.dst[edges] + base
        return GraphBatch(
            crystals=len(chosen),
            nodes=len(nodes),
            z=self.z[nodes],
            multiplicity=multiplicity,
            node_crystal=node_crystal,
            dst=dst,
            src=self.src[edges] + base,
            distance=self.distance[edges],
            count=count,
            bonds=count * multiplicity[dst],
            edge_crystal=edge_crystal,
            target=self.target[chosen],
        )

    def batches(self, order: Tensor, size: int) -> Iterator[GraphBatch]:
        """The crystals of `order` in batches of at most `size`; lengths differ by one at most.

        Even lengths keep a last batch of two or three crystals from upsetting the batch norms.
        """
        for chosen in torch.tensor_split(order, max(1, -(-len(order) // size))):
            yield self.take(chosen)
