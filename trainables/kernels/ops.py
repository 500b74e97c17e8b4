"""Operations of a message-passing step, fused on the CPU and plain elsewhere.

Legend: K models, N nodes, E edges, L distinct bond lengths, D and F features, A node width.

Each has one meaning, written in torch, which runs on a GPU, in double precision and where there is
no compiler. Single-precision tensors on the CPU take the kernels of `kernels.cpp`, which agree with
it to rounding and keep nothing of size E·F that they can work out again.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

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


def _call(name: str, *arguments: Tensor | int | float | None) -> None:
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


# ------------------------------------------------------------------------------- softplus


def softplus(x: Tensor, shift: float = 0.0, bias: Tensor | None = None) -> Tensor:
    """log(1 + e^(x + bias)) − shift of x [K, N, F] and bias [K, 1, F] (0 where None)."""
    if fused(x):
        value: Tensor = _Softplus.apply(x, shift, bias)
        return value
    return torch.nn.functional.softplus(x if bias is None else x + bias) - shift


class _Softplus(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, shift: float, bias: Tensor | None) -> Tensor:
        x = x.contiguous()
        y = torch.empty_like(x)
        added = x.new_zeros(len(x), x.shape[2]) if bias is None else bias
        _call("softplus_forward", *x.shape, x, added, y, shift)
        ctx.save_for_backward(y)
        ctx.shift, ctx.biased = shift, bias is not None
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None, Tensor | None]:
        (y,) = ctx.saved_tensors
        dx, dbias = torch.empty_like(y), y.new_zeros(len(y), 1, y.shape[2])
        _call("softplus_backward", *y.shape, y, dy.contiguous(), dx, dbias, ctx.shift)
        return dx, None, dbias if ctx.biased else None


# --------------------------------------------------------------------- gather and scatter


def gather(x_knd: Tensor, index: Tensor) -> Tensor:
    """Rows `index` [E] of x [K, N, D] -> [K, E, D]."""
    if fused(x_knd):
        rows: Tensor = _Gather.apply(x_knd, index, None)
        return rows
    return x_knd.index_select(1, index)


def scatter_sum(x_ked: Tensor, index: Tensor, size: int, weight: Tensor | None = None) -> Tensor:
    """Sum of the rows of x [K, E, D], times weight [E], that share an index -> [K, size, D]."""
    if fused(x_ked):
        total: Tensor = _Scatter.apply(x_ked, index, size, weight)
        return total
    out = x_ked.new_zeros(x_ked.shape[0], size, x_ked.shape[2])
    return out.index_add(1, index, x_ked if weight is None else x_ked * weight[:, None])


def _gather_rows(x: Tensor, index: Tensor, weight: Tensor | None) -> Tensor:
    models, size, features = x.shape
    y = x.new_empty(models, len(index), features)
    _call("gather_rows", models, size, len(index), features, x.contiguous(), index, weight, y)
    return y


def _scatter_rows(x: Tensor, index: Tensor, size: int, weight: Tensor | None) -> Tensor:
    models, edges, features = x.shape
    y = x.new_zeros(models, size, features)
    _call("scatter_rows", models, size, edges, features, x.contiguous(), index, weight, y)
    return y


class _Gather(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, weight: Tensor | None) -> Tensor:
        ctx.index, ctx.size, ctx.weight = index, x.shape[1], weight
        return _gather_rows(x, index, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None, None]:
        return _scatter_rows(dy, ctx.index, ctx.size, ctx.weight), None, None


class _Scatter(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, size: int, weight: Tensor | None) -> Tensor:
        ctx.index, ctx.weight = index, weight
        return _scatter_rows(x, index, size, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None, None, None]:
        return _gather_rows(dy, ctx.index, ctx.weight), None, None, None


# ------------------------------------------------------------------ MEGNet: update of bonds


class BondLayers(NamedTuple):
    """Weights of the layers that a bond goes through; those of MEGNet are 32 and 64 wide.

    The first five are there where bonds have features of their own.
    """

    w1: Tensor | None  # [K, 32, 64]
    b1: Tensor | None  # [K, 1, 64]
    w2: Tensor | None  # [K, 64, 32]
    b2: Tensor | None  # [K, 1, 32]
    w3: Tensor | None  # [K, 32, 64]
    w4: Tensor  # [K, 64, 64]
    b4: Tensor  # [K, 1, 64]
    w5: Tensor  # [K, 64, 32]
    b5: Tensor  # [K, 1, 32]


def update_bonds(
    own: Tensor,
    other: Tensor,
    bond: Tensor,
    indices: tuple[Tensor, Tensor, Tensor | None],
    layers: BondLayers,
    shift: float,
) -> Tensor:
    """s(s(own[dst] + other[src] + c) w4 + b4) w5 + b5 -> [K, E, 32]; s(x) = softplus(x) − shift.

    c = bond[kind] where there is a `kind`, else c = s(s(bond w1 + b1) w2 + b2) w3.

    Args:
        own, other: [K, N, 64].
        bond: [K, E, 32] or, by kind, [K, L, 64].
        indices: dst, src and kind or None, each [E].
    """
    if fused(own):
        updated: Tensor = _UpdateBonds.apply(own, other, bond, *indices, shift, *layers)
        return updated
    dst, src, kind = indices
    w1, b1, w2, b2, w3, w4, b4, w5, b5 = layers
    if kind is not None:
        bond = gather(bond, kind)
    else:
        assert w1 is not None and w2 is not None and w3 is not None
        first = softplus(torch.bmm(bond, w1), shift, b1)
        bond = torch.bmm(softplus(torch.bmm(first, w2), shift, b2), w3)
    hidden = softplus(gather(own, dst) + gather(other, src) + bond, shift)
    return torch.bmm(softplus(torch.bmm(hidden, w4), shift, b4), w5) + b5


class _UpdateBonds(Function):
    @staticmethod
    def forward(
        ctx: Any,
        own: Tensor,
        other: Tensor,
        bond: Tensor,
        dst: Tensor,
        src: Tensor,
        kind: Tensor | None,
        shift: float,
        *layers: Tensor | None,
    ) -> Tensor:
        dense = [part.contiguous() for part in (own, other, bond)]
        weights = [None if weight is None else weight.contiguous() for weight in layers]
        sizes = *own.shape[:2], bond.shape[1], len(dst)
        y = own.new_empty(len(own), len(dst), layers[-1].shape[2])  # type: ignore[union-attr]
        _call("bonds_forward", *sizes, *dense, dst, src, kind, *weights, y, shift)
        ctx.save_for_backward(*dense, *weights)
        ctx.sizes, ctx.indices, ctx.shift = sizes, (dst, src, kind), shift
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        grads = [None if x is None else torch.zeros_like(x) for x in saved]
        arguments = (*saved[:3], *ctx.indices, *saved[3:], dy.contiguous(), *grads)
        _call("bonds_backward", *ctx.sizes, *arguments, ctx.shift)
        return *grads[:3], None, None, None, None, *grads[3:]


# -------------------------------------------------------------------- Set2Set: attention


def attention_pool(x: Tensor, query: Tensor, weight: Tensor, crystal: Tensor) -> Tensor:
    """Mean of the rows of x [K, N, D] of each crystal by attention to query [K, B, D] -> [K, B, D].

    The odds of a row are exp(x·query) times its weight [N]; a crystal without rows gets 0.
    """
    if fused(x):
        read: Tensor = _AttentionPool.apply(x, query, weight, crystal)
        return read
    models, size = query.shape[:2]
    energy = (x * gather(query, crystal)).sum(-1)
    rows = crystal.expand(models, -1)
    top = energy.new_full((models, size), -torch.inf)
    top = top.scatter_reduce(1, rows, energy.detach(), "amax")
    odds = weight * torch.exp(energy - top.gather(1, rows))
    total = odds.new_zeros(models, size).scatter_add(1, rows, odds)
    return scatter_sum(x * (odds / total.gather(1, rows))[..., None], crystal, size)


class _AttentionPool(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, query: Tensor, weight: Tensor, crystal: Tensor) -> Tensor:
        x, query = x.contiguous(), query.contiguous()
        models, rows, features = x.shape
        sizes = models, query.shape[1], rows, features
        share, y = x.new_empty(models, rows), torch.zeros_like(query)
        _call("attention_forward", *sizes, x, query, weight, crystal, share, y)
        ctx.save_for_backward(x, query, share, y)
        ctx.sizes, ctx.crystal = sizes, crystal
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, query, share, y = ctx.saved_tensors
        dx, dquery = torch.empty_like(x), torch.zeros_like(query)
        saved = (x, query, share, ctx.crystal, y)
        _call("attention_backward", *ctx.sizes, *saved, dy.contiguous(), dx, dquery)
        return dx, dquery, None, None


# ------------------------------------------------------------------ CGCNN: gated messages


def gated_messages(
    parts: tuple[Tensor, Tensor, Tensor],
    indices: tuple[Tensor, Tensor, Tensor],
    count: Tensor,
    scale: Tensor,
    offset: Tensor,
) -> Tensor:
    """Σ_e count_e·σ(gate_e)·softplus(core_e) over the edges of each dst -> [K, N, A].

    [gate, core] = (own[dst] + other[src] + length[kind])·scale + offset.

    Args:
        parts: own and other [K, N, 2A], length [K, L, 2A].
        indices: dst, src, kind, each [E].
        count: [E].
        scale, offset: [K, 1, 2A].
    """
    own, _, _ = parts
    dst = indices[0]
    if fused(own) and not torch.is_grad_enabled():
        models, nodes, lengths, edges, width = _sizes(parts, indices)
        y = own.new_zeros(models, nodes, width)
        dense = (part.contiguous() for part in (*parts, *indices, count, scale, offset))
        _call("gated_forward", models, nodes, lengths, edges, width, *dense, y)
        return y
    gate, core = (_edge_sum(parts, indices) * scale + offset).chunk(2, dim=-1)
    return scatter_sum(torch.sigmoid(gate) * softplus(core), dst, own.shape[1], count)


def normed_gated_messages(
    parts: tuple[Tensor, Tensor, Tensor],
    indices: tuple[Tensor, Tensor, Tensor],
    count: Tensor,
    weight: Tensor,
    gain: Tensor,
    bias: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """`gated_messages` of a sum that is batch-normalised first; its mean and variance beside it.

    [gate, core] = (z − mean)/√(var + eps)·gain + bias, statistics over edges that count `weight`
    [E] times; gain, bias, mean and var [K, 1, 2A].
    """
    if fused(parts[0]):
        total, mean, var = _NormedGatedMessages.apply(
            *parts, *indices, count, weight, gain, bias, eps
        )
        return total, mean, var
    z = _edge_sum(parts, indices)
    share = (weight / weight.sum()).expand(len(z), 1, -1)
    mean = torch.bmm(share, z)
    z = z - mean
    var = torch.bmm(share, z.square())
    gate, core = (z * (gain * torch.rsqrt(var + eps)) + bias).chunk(2, dim=-1)
    messages = torch.sigmoid(gate) * softplus(core)
    return scatter_sum(messages, indices[0], parts[0].shape[1], count), mean, var


def _edge_sum(parts: tuple[Tensor, Tensor, Tensor], indices: tuple[Tensor, ...]) -> Tensor:
    first, second, third = (gather(x, index) for x, index in zip(parts, indices, strict=True))
    return first + second + third


def _sizes(
    parts: tuple[Tensor, Tensor, Tensor], indices: tuple[Tensor, ...]
) -> tuple[int, int, int, int, int]:
    models, nodes, channels = parts[0].shape
    return models, nodes, parts[2].shape[1], len(indices[0]), channels // 2


class _NormedGatedMessages(Function):
    @staticmethod
    def forward(
        ctx: Any,
        own: Tensor,
        other: Tensor,
        length: Tensor,
        dst: Tensor,
        src: Tensor,
        kind: Tensor,
        count: Tensor,
        weight: Tensor,
        gain: Tensor,
        bias: Tensor,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        indices = dst, src, kind
        own, other, length = parts = own.contiguous(), other.contiguous(), length.contiguous()
        sizes = models, nodes, *_, width = _sizes(parts, indices)
        total = float(weight.sum())
        mean, var = torch.empty_like(gain), torch.empty_like(gain)
        _call("gated_statistics", *sizes, *parts, *indices, weight, total, mean, var)
        rstd = torch.rsqrt(var + eps)
        scale = gain * rstd
        y = own.new_zeros(models, nodes, width)
        _call("gated_forward", *sizes, *parts, *indices, count, scale, bias - mean * scale, y)
        ctx.save_for_backward(own, other, length, mean, rstd, gain, bias)
        ctx.sizes, ctx.indices, ctx.weights = sizes, indices, (count, weight, total)
        ctx.mark_non_differentiable(mean, var)
        return y, mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        own, other, length, mean, rstd, gain, bias = ctx.saved_tensors
        grads = [torch.zeros_like(x) for x in (own, other, length, gain, bias)]
        _call(
            "gated_backward",
            *ctx.sizes,
            *(own, other, length),
            *ctx.indices,
            *ctx.weights,
            *(mean, rstd, gain, bias),
            dy.contiguous(),
            *grads,
        )
        down, dother, dlength, dgain, dbias = grads
        return down, dother, dlength, None, None, None, None, None, dgain, dbias, None
