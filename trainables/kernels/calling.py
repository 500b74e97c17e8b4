"""Decides when a fused kernel is used, and calls it with checked arguments."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

import torch
from torch import Tensor

from trainables.kernels import library
from trainables.kernels.signatures import SIGNATURES, Parameter

CHECK = "any_outside"  # the one function without a size K

_plain = ContextVar("plain", default=False)


@contextmanager
def plain() -> Iterator[None]:
    """Within this context every operation runs in plain torch, so that counters see its steps."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def fused(x: Tensor) -> bool:
    """Whether the kernels support this tensor."""
    if torch.compiler.is_compiling() or x.device.type != "cpu" or x.dtype != torch.float32:
        return False
    return not _plain.get() and library.load() is not None


def of_models(x: Tensor, axes: int) -> Tensor:
    """Dense, with the axis K in front, as the kernels take it; shares the memory of what is dense.

    Args:
        axes: number of axes of several models' tensor; one model's has one less.
    """
    return x.contiguous() if x.dim() == axes else x.contiguous()[None]


def stacked(parts: Sequence[Tensor], dims: Sequence[int | None], models: int) -> list[Tensor]:
    """Arguments under `torch.func.vmap`, each with the axis K in front; what is shared is repeated.

    Args:
        dims: the axis K of each; None of what the models share.
        models: K.
    """
    return [
        part.expand(models, *part.shape) if dim is None else part.movedim(dim, 0)
        for part, dim in zip(parts, dims, strict=True)
    ]


def call(name: str, *arguments: Tensor | float) -> None:
    """Calls a function of `kernels.cpp`, which writes into some of its tensors.

    Args:
        arguments: tensors and numbers in the order of its signature, from which the sizes follow.

    Raises:
        TypeError: an argument is no tensor where one is expected, or too few or many numbers.
        ValueError: a tensor has the wrong sizes, type, device or layout.
        IndexError: an index is out of range.
    """
    function, any_outside = _function(name), _function(CHECK)
    signature = SIGNATURES[name]
    parameters = signature.parameters
    sizes: dict[str, int] = {}
    pointers: list[int] = []
    indices: list[tuple[Parameter, int]] = []
    for parameter, tensor in zip(parameters, arguments[: len(parameters)], strict=True):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name}: {parameter.name} is {tensor!r}, no tensor")
        dtype = torch.int64 if parameter.below else torch.float32
        if tensor.dtype is not dtype or not tensor.is_cpu or not tensor.is_contiguous():
            raise ValueError(
                f"{name}: {parameter.name} must be a dense array of {dtype} on the CPU, not of"
                f" {tensor.dtype} on {tensor.device} with strides {tensor.stride()}"
            )
        if not _fits(parameter, tensor.shape, sizes):
            right = parameter.described(sizes)
            raise ValueError(f"{name}: {parameter.name} is {list(tensor.shape)}, not {right}")
        pointers.append(tensor.data_ptr())
        if parameter.below:
            indices.append((parameter, pointers[-1]))
    for index, pointer in indices:
        # checked in every call: for each entry read here, the kernel moves rows of features
        if any_outside(sizes[index.axes[0][1]], sizes[index.below], pointer):
            raise IndexError(f"{name}: {index.name} points beyond its {sizes[index.below]} rows")
    function(
        *(sizes[letter] for letter in signature.sizes), *pointers, *arguments[len(parameters) :]
    )


def _fits(parameter: Parameter, shape: torch.Size, sizes: dict[str, int]) -> bool:
    """Whether the axes have the sizes known so far; new sizes are added."""
    if len(shape) != len(parameter.axes):
        return False
    for (factor, letter), size in zip(parameter.axes, shape, strict=True):
        if letter and letter not in sizes:
            sizes[letter] = size // factor
        if size != (factor * sizes[letter] if letter else factor):
            return False
    return True


@cache
def _function(name: str) -> Callable[..., int]:
    """A function of the library, with its argument types set."""
    kernels = library.load()
    assert kernels is not None, "fused() says whether there are kernels"
    function = kernels[name]
    if name == CHECK:
        function.argtypes = [ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
        function.restype = ctypes.c_int
        return function
    signature = SIGNATURES[name]
    function.argtypes = [
        *[ctypes.c_int64] * len(signature.sizes),
        *[ctypes.c_void_p] * len(signature.parameters),
        *[ctypes.c_float] * signature.numbers,
    ]
    function.restype = None
    return function
