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
from typing import Any

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


# ------------------------------------------------------------------ MEGNet: first edge layer


def edge_softplus(
    own: Tensor,
    other: Tensor,
    bond: Tensor,
    dst: Tensor,
    src: Tensor,
    kind: Tensor | None,
    shift: float,
) -> Tensor:
    """softplus(own[dst] + other[src] + bond[kind]) − shift -> [K, E, F].

    Args:
        own, other: [K, N, F].
        bond: [K, E, F], or [K, L, F] where `kind` [E] says which row an edge has.
    """
    if fused(own):
        value: Tensor = _EdgeSoftplus.apply(own, other, bond, dst, src, kind, shift)
        return value
    bond = bond if kind is None else gather(bond, kind)
    return softplus(gather(own, dst) + gather(other, src) + bond, shift)


class _EdgeSoftplus(Function):
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
    ) -> Tensor:
        (models, nodes, features), edges = own.shape, len(dst)
        y = own.new_empty(models, edges, features)
        ctx.sizes = models, nodes, bond.shape[1], edges, features
        parts = (part.contiguous() for part in (own, other, bond))
        _call("edge_forward", *ctx.sizes, *parts, dst, src, kind, y, shift)
        ctx.save_for_backward(y)
        ctx.indices, ctx.shift = (dst, src, kind), shift
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (y,) = ctx.saved_tensors
        models, nodes, bonds, _, features = ctx.sizes
        down, dother = (y.new_zeros(models, nodes, features) for _ in range(2))
        dbond = y.new_zeros(models, bonds, features)
        grads = (down, dother, dbond)
        _call("edge_backward", *ctx.sizes, y, dy.contiguous(), *ctx.indices, *grads, ctx.shift)
        return down, dother, dbond, None, None, None, None


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
