"""When a fused kernel is taken, and how it is called."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from trainables.kernels import library

_plain = ContextVar("plain", default=False)


@contextmanager
def plain() -> Iterator[None]:
    """Within it every operation runs as it is written in torch, where it can be watched."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def fused(x: Tensor) -> bool:
    """Whether the kernels take this tensor."""
    if torch.compiler.is_compiling() or x.device.type != "cpu" or x.dtype != torch.float32:
        return False
    return not _plain.get() and library.load() is not None


def call(name: str, *arguments: Tensor | int | float | None) -> None:
    """Calls a function of `kernels.cpp`, which writes into some of its tensors.

    Args:
        arguments: in the order of the C++ declaration; None is a null pointer.
    """
    kernels = library.load()
    assert kernels is not None
    kernels[name](*map(_argument, arguments))


def _argument(value: Tensor | int | float | None) -> Any:
    if isinstance(value, Tensor):
        assert value.is_contiguous(), "kernels take dense arrays"
        return ctypes.c_void_p(value.data_ptr())
    if isinstance(value, int):
        return ctypes.c_int64(value)
    return None if value is None else ctypes.c_float(value)
