"""A data set on the training device, from which batches are made by index arithmetic.

Legend: B crystals, N nodes, S scopes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.representations.columns import TARGET, Column, Columns, Scope
from trainables.representations.graph_batch import Taken


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
class DeviceColumns:
    """Columns and standardised targets as tensors of one device and float type.

    Attributes:
        kind: class of the columns, as prepared for a device.
        known: declaration of the targets.
        sizes: [B, S] rows of each crystal in each scope of `kind`, on the host, so that it knows
            the shapes of a batch without waiting for the device.
        ptr: [B+1] for each scope.
        columns: by name.
        target: [B, …], or [N, …] of nodes.
    """

    kind: type[Columns]
    known: Column
    sizes: np.ndarray
    ptr: Mapping[Scope, Tensor]
    columns: Mapping[str, Tensor]
    target: Tensor

    @classmethod
    def load(
        cls,
        graphs: Columns,
        target: np.ndarray,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        known: Column = TARGET,
    ) -> DeviceColumns:
        """Copies the flat arrays to the device.

        Args:
            target: [B, *known.shape], or [N, *known.shape] if it belongs to nodes.
        """
        prepared = graphs.prepared()

        def on_device(array: np.ndarray, declared: Column) -> Tensor:
            wide = torch.from_numpy(array.astype(declared.wide))
            return wide.to(device=device, dtype=dtype if wide.is_floating_point() else None)

        pointers = {scope: prepared.ptr(scope) for scope in prepared.scopes()}
        return cls(
            kind=type(prepared),
            known=known,
            sizes=np.stack([np.diff(ptr) for ptr in pointers.values()], axis=1),
            ptr={
                scope: torch.from_numpy(ptr.astype(np.int64)).to(device)
                for scope, ptr in pointers.items()
            },
            columns={
                one.name: on_device(getattr(prepared, one.name), one) for one in prepared.declared()
            },
            target=on_device(np.asarray(target), known),
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def batches(self, order: Tensor, size: int) -> Iterator[Any]:
        """Yields the crystals of `order` (on the host) in batches, cut by `even_parts`."""
        # one copy for the whole pass, so that the device never waits for the host during it
        on_device = order.to(self.target.device, non_blocking=True)
        for part, chosen in zip(even_parts(order, size), even_parts(on_device, size), strict=True):
            yield self._take(chosen, self.sizes[part.numpy()].sum(axis=0).tolist())

    def take(self, chosen: Tensor) -> Any:
        """The chosen crystals [B], in that order, as one batch."""
        (batch,) = self.batches(chosen.cpu(), max(1, len(chosen)))
        return batch

    def _take(self, chosen: Tensor, totals: Sequence[int]) -> Any:
        rows, owner, first, base = {Scope.CRYSTAL: chosen}, {}, {}, {}
        for (scope, ptr), total in zip(self.ptr.items(), totals, strict=True):
            rows[scope], owner[scope], first[scope] = _rows(ptr, chosen, total)
        columns = {self.known.name: self.target[rows[self.known.scope]]}
        for one in self.kind.declared():
            value = self.columns[one.name][rows[one.scope]]
            if one.refers is not None:
                pair = one.refers, one.scope
                if pair not in base:
                    base[pair] = first[one.refers][owner[one.scope]]
                value = value + base[pair]
            columns[one.name] = value
        nodes = len(rows[Scope.NODE])
        return self.kind.batch(Taken(len(chosen), nodes, owner, columns))
