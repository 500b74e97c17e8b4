"""Gathers rows by an index, and sums rows that share one; each is the other's gradient.

Legend: K models, N nodes, E edges, D features, S rows of a sum.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from trainables.kernels.calling import call, fused


def gather(x_knd: Tensor, index_e: Tensor) -> Tensor:
    """The rows `index_e` (int64) of x, [K, E, D]."""
    if fused(x_knd):
        rows_ked: Tensor = _Gather.apply(x_knd, index_e, None)
        return rows_ked
    return x_knd.index_select(1, index_e)


def scatter_sum(
    x_ked: Tensor, index_e: Tensor, size: int, weight_e: Tensor | None = None
) -> Tensor:
    """The weighted sums of the rows of x that share an index, [K, S, D].

    Args:
        index_e: int64, the sum that a row belongs to.
        size: S; a sum of no rows is 0.
        weight_e: 1 if None.
    """
    if fused(x_ked):
        total_ksd: Tensor = _Scatter.apply(x_ked, index_e, size, weight_e)
        return total_ksd
    out_ksd = x_ked.new_zeros(x_ked.shape[0], size, x_ked.shape[2])
    return out_ksd.index_add(1, index_e, x_ked if weight_e is None else x_ked * weight_e[:, None])


def _gather_rows(x_knd: Tensor, index_e: Tensor, weight_e: Tensor | None) -> Tensor:
    y_ked = x_knd.new_empty(len(x_knd), len(index_e), x_knd.shape[2])
    _move("gather", x_knd, index_e, weight_e, y_ked)
    return y_ked


def _scatter_rows(x_ked: Tensor, index_e: Tensor, size: int, weight_e: Tensor | None) -> Tensor:
    y_ksd = x_ked.new_zeros(len(x_ked), size, x_ked.shape[2])
    _move("scatter", x_ked, index_e, weight_e, y_ksd)
    return y_ksd


def _move(how: str, x: Tensor, index_e: Tensor, weight_e: Tensor | None, y: Tensor) -> None:
    if weight_e is None:
        call(f"{how}_rows", x.contiguous(), index_e.contiguous(), y)
    else:
        call(f"{how}_weighted_rows", x.contiguous(), index_e.contiguous(), weight_e.contiguous(), y)


class _Gather(Function):
    @staticmethod
    def forward(ctx: Any, x_knd: Tensor, index_e: Tensor, weight_e: Tensor | None) -> Tensor:
        ctx.index, ctx.size, ctx.weight = index_e, x_knd.shape[1], weight_e
        return _gather_rows(x_knd, index_e, weight_e)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_ked: Tensor) -> tuple[Tensor, None, None]:
        return _scatter_rows(dy_ked, ctx.index, ctx.size, ctx.weight), None, None


class _Scatter(Function):
    @staticmethod
    def forward(
        ctx: Any, x_ked: Tensor, index_e: Tensor, size: int, weight_e: Tensor | None
    ) -> Tensor:
        ctx.index, ctx.weight = index_e, weight_e
        return _scatter_rows(x_ked, index_e, size, weight_e)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_ksd: Tensor) -> tuple[Tensor, None, None, None]:
        return _gather_rows(dy_ksd, ctx.index, ctx.weight), None, None, None
