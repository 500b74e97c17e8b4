"""CGCNN's gated messages (Xie & Grossman 2018, eq. 5, doi:10.1103/PhysRevLett.120.145301).

Eqs 2.6 and 2.7 of the thesis.

Legend: K models, N nodes, E edges, L distinct bond lengths, A node width; C = 2A channels, of which
the first half is the gate and the second the core.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from trainables.kernels.calling import call, fused
from trainables.kernels.rows import gather, scatter_sum
from trainables.kernels.softplus import softplus

Three = tuple[Tensor, Tensor, Tensor]


def gated_messages(
    parts: Three, indices: Three, count_e: Tensor, scale_k1c: Tensor, offset_k1c: Tensor
) -> Tensor:
    """Σ_e count_e·σ(gate_e)·softplus(core_e) over the edges of each dst, [K, N, A].

    [gate, core] = (own[dst] + other[src] + length[kind])·scale + offset.

    Args:
        parts: own and other [K, N, C], length [K, L, C].
        indices: dst, src and kind, each [E] int64.
    """
    own_knc, _, _ = parts
    dst_e = indices[0]
    if fused(own_knc) and not torch.is_grad_enabled():
        given = (*parts, *indices, count_e, scale_k1c, offset_k1c)
        y_kna = _room(own_knc)
        call("gated_forward", *_dense(given), y_kna)
        return y_kna
    channels_kec = _edge_sum(parts, indices) * scale_k1c + offset_k1c
    gate_kea, core_kea = channels_kec.chunk(2, dim=-1)
    message_kea = torch.sigmoid(gate_kea) * softplus(core_kea)
    return scatter_sum(message_kea, dst_e, own_knc.shape[1], count_e)


def normed_gated_messages(
    parts: Three,
    indices: Three,
    count_e: Tensor,
    weight_e: Tensor,
    gain_k1c: Tensor,
    bias_k1c: Tensor,
    eps: float,
) -> Three:
    """`gated_messages` of a batch-normalised sum; also returns its mean and variance.

    [gate, core] = (z − mean)/√(var + eps)·gain + bias, with statistics over edges that count
    `weight_e` times.

    Returns:
        The messages [K, N, A], mean and variance [K, 1, C].
    """
    if fused(parts[0]):
        total_kna, mean_k1c, var_k1c = _NormedGatedMessages.apply(
            *parts, *indices, count_e, weight_e, gain_k1c, bias_k1c, eps
        )
        return total_kna, mean_k1c, var_k1c
    z_kec = _edge_sum(parts, indices)
    share_k1e = (weight_e / weight_e.sum()).expand(len(z_kec), 1, -1)
    mean_k1c = torch.bmm(share_k1e, z_kec)
    z_kec = z_kec - mean_k1c
    var_k1c = torch.bmm(share_k1e, z_kec.square())
    channels_kec = z_kec * (gain_k1c * torch.rsqrt(var_k1c + eps)) + bias_k1c
    gate_kea, core_kea = channels_kec.chunk(2, dim=-1)
    message_kea = torch.sigmoid(gate_kea) * softplus(core_kea)
    total_kna = scatter_sum(message_kea, indices[0], parts[0].shape[1], count_e)
    return total_kna, mean_k1c, var_k1c


def _edge_sum(parts: Three, indices: tuple[Tensor, ...]) -> Tensor:
    first, second, third = (gather(x, index) for x, index in zip(parts, indices, strict=True))
    return first + second + third


def _room(own_knc: Tensor) -> Tensor:
    """Zeros for the messages, [K, N, A]."""
    return own_knc.new_zeros(*own_knc.shape[:2], own_knc.shape[2] // 2)


def _dense(given: Iterable[Tensor]) -> list[Tensor]:
    return [tensor.contiguous() for tensor in given]


class _NormedGatedMessages(Function):
    @staticmethod
    def forward(
        ctx: Any,
        own_knc: Tensor,
        other_knc: Tensor,
        length_klc: Tensor,
        dst_e: Tensor,
        src_e: Tensor,
        kind_e: Tensor,
        count_e: Tensor,
        weight_e: Tensor,
        gain_k1c: Tensor,
        bias_k1c: Tensor,
        eps: float,
    ) -> Three:
        parts, indices = _dense((own_knc, other_knc, length_klc)), _dense((dst_e, src_e, kind_e))
        count_e, weight_e = _dense((count_e, weight_e))
        total = float(weight_e.sum())
        mean_k1c, var_k1c = torch.empty_like(gain_k1c), torch.empty_like(gain_k1c)
        call("gated_statistics", *parts, *indices, weight_e, mean_k1c, var_k1c, total)
        rstd_k1c = torch.rsqrt(var_k1c + eps)
        scale_k1c = gain_k1c * rstd_k1c
        offset_k1c = bias_k1c - mean_k1c * scale_k1c
        y_kna = _room(own_knc)
        call("gated_forward", *parts, *indices, count_e, scale_k1c, offset_k1c, y_kna)
        ctx.save_for_backward(*parts, mean_k1c, rstd_k1c, gain_k1c, bias_k1c)
        ctx.indices, ctx.weights, ctx.total = indices, (count_e, weight_e), total
        ctx.mark_non_differentiable(mean_k1c, var_k1c)
        return y_kna, mean_k1c, var_k1c

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_kna: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        *parts, mean_k1c, rstd_k1c, gain_k1c, bias_k1c = ctx.saved_tensors
        grads = [torch.zeros_like(x) for x in (*parts, gain_k1c, bias_k1c)]
        dense = _dense((mean_k1c, rstd_k1c, gain_k1c, bias_k1c, dy_kna))
        slopes_ec = parts[0].new_empty(len(ctx.indices[0]), parts[0].shape[2])
        given = (*parts, *ctx.indices, *ctx.weights, *dense, slopes_ec)
        call("gated_backward", *given, *grads, ctx.total)
        *dparts, dgain_k1c, dbias_k1c = grads
        return *dparts, None, None, None, None, None, dgain_k1c, dbias_k1c, None
