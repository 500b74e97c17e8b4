"""Gathers rows by an index, and sums rows that share one; each is the other's gradient.

Legend: K models, N nodes, E edges, D features, S rows of a sum.

All take rows of K models, or, in a plain network, of one without the axis K; under
`torch.func.vmap` one call of a kernel serves all.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from trainables.kernels.calling import call, fused, of_models


def gather(x_knd: Tensor, index_e: Tensor) -> Tensor:
    """The rows `index_e` (int64) of x, [K, E, D]; or [E, D] of [N, D]."""
    if fused(x_knd):
        rows_ked: Tensor = _Gather.apply(x_knd, index_e, None)
        return rows_ked
    return x_knd.index_select(-2, index_e)


def scatter_sum(
    x_ked: Tensor, index_e: Tensor, size: int, weight_e: Tensor | None = None
) -> Tensor:
    """The weighted sums of the rows of x that share an index, [K, S, D]; or [S, D] of [E, D].

    Args:
        index_e: int64, the sum that a row belongs to.
        size: S; a sum of no rows is 0.
        weight_e: 1 if None.
    """
    if fused(x_ked):
        total_ksd: Tensor = _Scatter.apply(x_ked, index_e, size, weight_e)
        return total_ksd
    out_ksd = x_ked.new_zeros(*x_ked.shape[:-2], size, x_ked.shape[-1])
    return out_ksd.index_add(-2, index_e, x_ked if weight_e is None else x_ked * weight_e[:, None])


def _gather_rows(x_knd: Tensor, index_e: Tensor, weight_e: Tensor | None) -> Tensor:
    y_ked = x_knd.new_empty(*x_knd.shape[:-2], len(index_e), x_knd.shape[-1])
    _move("gather", x_knd, index_e, weight_e, y_ked)
    return y_ked


def _scatter_rows(x_ked: Tensor, index_e: Tensor, size: int, weight_e: Tensor | None) -> Tensor:
    y_ksd = x_ked.new_zeros(*x_ked.shape[:-2], size, x_ked.shape[-1])
    _move("scatter", x_ked, index_e, weight_e, y_ksd)
    return y_ksd


def _move(how: str, x: Tensor, index_e: Tensor, weight_e: Tensor | None, y: Tensor) -> None:
    given, into = (of_models(part, axes=3) for part in (x, y))
    if weight_e is None:
        call(f"{how}_rows", given, index_e.contiguous(), into)
    else:
        call(f"{how}_weighted_rows", given, index_e.contiguous(), weight_e.contiguous(), into)


class _Gather(Function):
    @staticmethod
    def forward(x_knd: Tensor, index_e: Tensor, weight_e: Tensor | None) -> Tensor:
        return _gather_rows(x_knd, index_e, weight_e)

    @staticmethod
    def setup_context(
        ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor
    ) -> None:
        x_knd, ctx.index, ctx.weight = inputs
        ctx.size = x_knd.shape[-2]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_ked: Tensor) -> tuple[Tensor, None, None]:
        return _scatter_rows(dy_ked, ctx.index, ctx.size, ctx.weight), None, None

    @staticmethod
    def vmap(
        info: Any, dims: tuple[int | None, ...], x: Tensor, *shared: Any
    ) -> tuple[Tensor, int]:
        assert dims[0] is not None  # rows are what differs between models
        return _Gather.apply(x.movedim(dims[0], 0), *shared), 0


class _Scatter(Function):
    @staticmethod
    def forward(x_ked: Tensor, index_e: Tensor, size: int, weight_e: Tensor | None) -> Tensor:
        return _scatter_rows(x_ked, index_e, size, weight_e)

    @staticmethod
    def setup_context(
        ctx: Any, inputs: tuple[Tensor, Tensor, int, Tensor | None], output: Tensor
    ) -> None:
        _, ctx.index, _, ctx.weight = inputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_ksd: Tensor) -> tuple[Tensor, None, None, None]:
        return _gather_rows(dy_ksd, ctx.index, ctx.weight), None, None, None

    @staticmethod
    def vmap(
        info: Any, dims: tuple[int | None, ...], x: Tensor, *shared: Any
    ) -> tuple[Tensor, int]:
        assert dims[0] is not None  # rows are what differs between models
        return _Scatter.apply(x.movedim(dims[0], 0), *shared), 0
