"""A data set on the training device, from which batches are made by index arithmetic.

Legend: B crystals, N nodes, E edges, L distinct bond lengths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainables.representations.graph import PER_ANGSTROM, Graphs
from trainables.representations.graph_batch import GraphBatch


def _rows(ptr: Tensor, chosen: Tensor, total: int) -> tuple[Tensor, Tensor, Tensor]:
    """The ranges ptr[c]:ptr[c+1] of the chosen c, one after the other.

    Args:
        total: rows of all chosen c; reading it from the device would make the host wait.

    Returns:
        The rows [total], the chosen one that each belongs to [total], the start of each [C].
    """
    sizes = ptr[chosen + 1] - ptr[chosen]
    starts = torch.cumsum(sizes, 0) - sizes
    place = torch.arange(len(chosen), device=ptr.device)
    owner = torch.repeat_interleave(place, sizes, output_size=total)
    rows = torch.arange(total, device=ptr.device) + (ptr[chosen] - starts)[owner]
    return rows, owner, starts


def even_parts(order: Tensor, size: int) -> tuple[Tensor, ...]:
    """Cuts `order` into parts of at most `size`, whose lengths differ by one at most.

    A last batch of two or three crystals would upset the batch norms.
    """
    return torch.tensor_split(order, max(1, -(-len(order) // size)))


@dataclass(frozen=True)
class DeviceGraphs:
    """`Graphs` and standardised targets as tensors of one device and float type.

    Attributes:
        sizes: [B, 3] nodes, edges and lengths of each crystal, on the host, so that it knows the
            shapes of a batch without waiting for the device.
        node_ptr, edge_ptr, length_ptr: [B+1].
        length: [L] in Å, the distinct distances within each crystal.
        edge_length: [E] int32 index into the crystal's lengths.
    """

    sizes: np.ndarray
    node_ptr: Tensor
    edge_ptr: Tensor
    length_ptr: Tensor
    z: Tensor
    multiplicity: Tensor
    dst: Tensor
    src: Tensor
    length: Tensor
    edge_length: Tensor
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

        def index(array: np.ndarray, kind: type = np.int32) -> Tensor:
            return torch.from_numpy(array.astype(kind)).to(device)

        def number(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array.astype(np.float64)).to(device=device, dtype=dtype)

        length_ptr, lengths, edge_length = _distinct_lengths(graphs)
        pointers = [graphs.node_ptr, graphs.edge_ptr, length_ptr]
        return cls(
            sizes=np.stack([np.diff(ptr) for ptr in pointers], axis=1),
            node_ptr=index(graphs.node_ptr, np.int64),
            edge_ptr=index(graphs.edge_ptr, np.int64),
            length_ptr=index(length_ptr, np.int64),
            z=index(graphs.z),
            multiplicity=number(graphs.multiplicity),
            dst=index(graphs.dst),
            src=index(graphs.src),
            length=number(lengths / PER_ANGSTROM),
            edge_length=index(edge_length),
            count=number(graphs.count),
            target=number(np.asarray(target)),
        )

    def __len__(self) -> int:
        return len(self.target)

    def batches(self, order: Tensor, size: int) -> Iterator[GraphBatch]:
        """Yields the crystals of `order` (on the host) in batches, cut by `even_parts`."""
        # one copy for the whole pass, so that the device never waits for the host during it
        on_device = order.to(self.target.device, non_blocking=True)
        for part, chosen in zip(even_parts(order, size), even_parts(on_device, size), strict=True):
            yield self._take(chosen, self.sizes[part.numpy()].sum(axis=0).tolist())

    def take(self, chosen: Tensor) -> GraphBatch:
        """The chosen crystals [B], in that order, as one batch."""
        (batch,) = self.batches(chosen.cpu(), max(1, len(chosen)))
        return batch

    def _take(self, chosen: Tensor, totals: Sequence[int]) -> GraphBatch:
        nodes, node_crystal, first_node = _rows(self.node_ptr, chosen, totals[0])
        edges, edge_crystal, _ = _rows(self.edge_ptr, chosen, totals[1])
        lengths, _, first_length = _rows(self.length_ptr, chosen, totals[2])
        base = first_node[edge_crystal]
        multiplicity, count = self.multiplicity[nodes], self.count[edges]
        dst = self.dst[edges] + base
        return GraphBatch(
            crystals=len(chosen),
            nodes=totals[0],
            z=self.z[nodes].long(),
            multiplicity=multiplicity,
            node_crystal=node_crystal,
            dst=dst,
            src=self.src[edges] + base,
            length=self.length[lengths],
            edge_length=self.edge_length[edges] + first_length[edge_crystal],
            count=count,
            bonds=count * multiplicity[dst],
            edge_crystal=edge_crystal,
            target=self.target[chosen],
        )


def _distinct_lengths(graphs: Graphs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pointer [B+1], lengths [L] in 1e-3 Å ascending in each crystal, index [E] into them."""
    crystal = graphs.edge_crystal.astype(np.int64)
    span = int(graphs.distance.max(initial=0)) + 1
    keys, found = np.unique(crystal * span + graphs.distance, return_inverse=True)
    ptr = np.concatenate([[0], np.cumsum(np.bincount(keys // span, minlength=len(graphs)))])
    return ptr, keys % span, found - ptr[crystal]
