"""Counts torch operations: kernels, bytes moved, floating-point operations, live memory."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

UNTOUCHED = {"aten::empty", "aten::empty_like", "aten::empty_strided", "aten::_unsafe_view"}
# They read only the requested rows of their first tensor.
PICKS_ROWS = {"aten::index_select", "aten::gather", "aten::embedding", "aten::index"}


class Tally(TorchDispatchMode):
    """While active, counts every operation below autograd, including backward passes.

    Attributes:
        kernels: operations that compute; views cost nothing.
        moved: bytes of all inputs and outputs, each read or written once by its kernel.
        flops: of matrix products; elementwise work is hidden by its memory traffic.
        peak: largest number of bytes of live storages that were made while counting.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kernels = self.moved = self.flops = self.peak = 0
        self._alive = 0
        self._held: dict[int, weakref.ref[torch.UntypedStorage]] = {}  # by address
        self._view: dict[Any, bool] = {}

    def restart(self) -> None:
        """Resets the counters; live storages stay registered."""
        self.kernels = self.moved = self.flops = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Runs the operation and counts it."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if not self._views(func):
            made = _tensors((out,))
            self._move(func, _tensors((*args, *kwargs.values())), made)
            count = flop_registry.get(func.overloadpacket)
            if count is not None:
                self.flops += count(*args, **kwargs, out_val=out)
            for tensor in made:
                self._hold(tensor.untyped_storage())
        return out

    def _move(self, func: Any, read: list[torch.Tensor], made: list[torch.Tensor]) -> None:
        name = func._schema.name
        if name in UNTOUCHED:
            return
        self.kernels += 1
        written = sum(map(_stored, made))
        sizes = [_stored(tensor) for tensor in read]
        if name in PICKS_ROWS:
            sizes[0] = min(sizes[0], written)
        self.moved += written + sum(sizes)

    def _views(self, func: Any) -> bool:
        """Whether an operation returns a view of its argument."""
        if func not in self._view:
            aliases = [one.alias_info for one in func._schema.returns]
            self._view[func] = any(alias is not None and not alias.is_write for alias in aliases)
        return self._view[func]

    def _hold(self, storage: torch.UntypedStorage) -> None:
        name = storage._cdata
        if name in self._held:
            return
        size = storage.nbytes()

        def let_go(_: object) -> None:
            del self._held[name]
            self._alive -= size

        self._held[name] = weakref.ref(storage, let_go)
        self._alive += size
        self.peak = max(self.peak, self._alive)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """True, or torch loads its compiler, which takes seconds, only to skip this class."""
        return False


def _stored(tensor: torch.Tensor) -> int:
    """Bytes in memory: what `expand` repeats is stored once."""
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    return tensor.element_size() * math.prod(size if stride else 1 for size, stride in sizes)


def _tensors(values: Iterable[Any]) -> list[torch.Tensor]:
    """The tensors in the values, also those in lists, as optimisers take all weights at once."""
    found: list[torch.Tensor] = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _tensors(value)
    return found
