"""Set2Set's attention over the rows of each crystal (Vinyals et al. 2016, arXiv:1511.06391).

Legend: K models, B crystals, N rows, D features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from trainables.kernels.calling import call, fused
from trainables.kernels.rows import gather, scatter_sum


def attention_pool(x_knd: Tensor, query_kbd: Tensor, weight_n: Tensor, crystal_n: Tensor) -> Tensor:
    """The attention-weighted mean of each crystal's rows for its query, [K, B, D] (eqs 4–6).

    The weight of a row is proportional to exp(x·query) times its `weight_n`; a crystal without rows
    gets 0.

    Args:
        crystal_n: int64, the crystal of each row.
    """
    if fused(x_knd):
        read_kbd: Tensor = _AttentionPool.apply(x_knd, query_kbd, weight_n, crystal_n)
        return read_kbd
    models, size = query_kbd.shape[:2]
    energy_kn = (x_knd * gather(query_kbd, crystal_n)).sum(-1)
    crystal_kn = crystal_n.expand(models, -1)
    top_kb = energy_kn.new_full((models, size), -torch.inf)
    top_kb = top_kb.scatter_reduce(1, crystal_kn, energy_kn.detach(), "amax")
    odds_kn = weight_n * torch.exp(energy_kn - top_kb.gather(1, crystal_kn))
    total_kb = odds_kn.new_zeros(models, size).scatter_add(1, crystal_kn, odds_kn)
    share_kn = odds_kn / total_kb.gather(1, crystal_kn)
    return scatter_sum(x_knd * share_kn[..., None], crystal_n, size)


class _AttentionPool(Function):
    @staticmethod
    def forward(
        ctx: Any, x_knd: Tensor, query_kbd: Tensor, weight_n: Tensor, crystal_n: Tensor
    ) -> Tensor:
        x_knd, query_kbd = x_knd.contiguous(), query_kbd.contiguous()
        weight_n, crystal_n = weight_n.contiguous(), crystal_n.contiguous()
        share_kn, y_kbd = x_knd.new_empty(x_knd.shape[:2]), torch.zeros_like(query_kbd)
        call("attention_forward", x_knd, query_kbd, weight_n, crystal_n, share_kn, y_kbd)
        ctx.save_for_backward(x_knd, query_kbd, share_kn, y_kbd)
        ctx.crystal = crystal_n
        return y_kbd

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_kbd: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x_knd, query_kbd, share_kn, y_kbd = ctx.saved_tensors
        dx_knd, dquery_kbd = torch.empty_like(x_knd), torch.zeros_like(query_kbd)
        saved = (x_knd, query_kbd, share_kn, ctx.crystal, y_kbd)
        grads = (dy_kbd.contiguous(), dx_knd, dquery_kbd)
        call("attention_backward", *saved, *grads)
        return dx_knd, dquery_kbd, None, None
