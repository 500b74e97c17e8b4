"""How many bytes a piece of work reads and writes, and how many the device can move.

A tensor counts once for every operation that reads it and once for every one that writes it, from
memory or from a cache; a view costs nothing. Compiled code and our kernels run as plain operations
while they are counted, so what fusing saves is not subtracted: the share of the bandwidth then says
how fast a plain implementation would have to move its data.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trainables.kernels import ops

# Read only the rows that they are asked for.
_PICKS_ROWS = {"aten::index_select", "aten::gather", "aten::embedding", "aten::index"}
# Schema says nothing of it, but these hand back the memory that they were given.
_NO_WORK = {"aten::_unsafe_view", "aten::empty", "aten::empty_like", "aten::empty_strided"}


class Traffic(TorchDispatchMode):
    """A context that adds up the bytes of all operations inside it."""

    def __init__(self) -> None:
        super().__init__()
        self.nbytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name
        if name in _NO_WORK or _is_view(func):
            return result
        written = sum(map(_nbytes, tree_leaves(result)))
        first, *others = map(_nbytes, tree_leaves((args, kwargs)) or [None])
        if name in _PICKS_ROWS:
            first = min(first, written)
        self.nbytes += written + first + sum(others)
        return result


def _nbytes(value: object) -> int:
    """Bytes of a tensor as it lies in memory: what `expand` repeats counts once."""
    if not isinstance(value, Tensor):
        return 0
    distinct = 1
    for size, stride in zip(value.shape, value.stride(), strict=True):
        distinct *= size if stride else min(size, 1)
    return distinct * value.element_size()


def _is_view(func: Any) -> bool:
    aliases = (result.alias_info for result in func._schema.returns)
    return any(alias is not None and not alias.is_write for alias in aliases)


def bytes_moved(work: Callable[[], object]) -> int:
    """Bytes that `work` reads and writes; it is run once."""
    with torch.compiler.set_stance("force_eager"), ops.plain(), Traffic() as traffic:
        work()
    return traffic.nbytes


def copy_bandwidth(device: str, nbytes: int) -> float:
    """Bytes/s that copying a tensor of so many bytes reads and writes, the best of ten tries."""
    source = torch.zeros(nbytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    target.copy_(source)  # the first touch of fresh memory is slower
    best = float("inf")
    for _ in range(10):
        synchronise(device)
        start = time.perf_counter()
        target.copy_(source)
        synchronise(device)
        best = min(best, time.perf_counter() - start)
    return 2 * nbytes / best


def synchronise(device: str) -> None:
    """Waits until the device has done what it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
