"""Softplus with a bias and a shift.

Legend: K models, N rows, F features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from trainables.kernels.calling import call, fused


def softplus(x_knf: Tensor, shift: float = 0.0, bias_k1f: Tensor | None = None) -> Tensor:
    """log(1 + e^(x + bias)) − shift, [K, N, F]; the bias is 0 where None."""
    if fused(x_knf):
        y_knf: Tensor = _Softplus.apply(x_knf, shift, bias_k1f)
        return y_knf
    biased_knf = x_knf if bias_k1f is None else x_knf + bias_k1f
    return torch.nn.functional.softplus(biased_knf) - shift


class _Softplus(Function):
    @staticmethod
    def forward(ctx: Any, x_knf: Tensor, shift: float, bias_k1f: Tensor | None) -> Tensor:
        x_knf = x_knf.contiguous()
        y_knf = torch.empty_like(x_knf)
        added = x_knf.new_zeros(len(x_knf), 1, x_knf.shape[2]) if bias_k1f is None else bias_k1f
        call("softplus_forward", x_knf, added.contiguous(), y_knf, shift)
        ctx.save_for_backward(y_knf)
        ctx.shift, ctx.biased = shift, bias_k1f is not None
        return y_knf

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_knf: Tensor) -> tuple[Tensor, None, Tensor | None]:
        (y_knf,) = ctx.saved_tensors
        dx_knf = torch.empty_like(y_knf)
        dbias_k1f = y_knf.new_zeros(len(y_knf), 1, y_knf.shape[2])
        call("softplus_backward", y_knf, dy_knf.contiguous(), dx_knf, dbias_k1f, ctx.shift)
        return dx_knf, None, dbias_k1f if ctx.biased else None
