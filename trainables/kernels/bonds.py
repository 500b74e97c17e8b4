"""MEGNet's update of bonds: from the atoms' features to the new bond, a tile of rows at a time.

Chen et al. 2019, doi:10.1021/acs.chemmater.9b01294; eq. 2.8 of the thesis.

Legend: K models, N nodes, E edges, L distinct bond lengths, H = 64 hidden and W = 32 features.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from trainables.kernels.calling import call, fused
from trainables.kernels.rows import gather
from trainables.kernels.softplus import softplus

KIND_SAYS = 5  # of a bond's weights are unused if bonds are given by their kind


class BondLayers(NamedTuple):
    """Weights of the layers that update a bond.

    The first five are None if bonds are given by their kind.
    """

    w1: Tensor | None  # [K, W, H]
    b1: Tensor | None  # [K, 1, H]
    w2: Tensor | None  # [K, H, W]
    b2: Tensor | None  # [K, 1, W]
    w3: Tensor | None  # [K, W, H]
    w4: Tensor  # [K, H, H]
    b4: Tensor  # [K, 1, H]
    w5: Tensor  # [K, H, W]
    b5: Tensor  # [K, 1, W]


def update_bonds(
    own_knh: Tensor,
    other_knh: Tensor,
    bond: Tensor,
    indices: tuple[Tensor, Tensor, Tensor | None],
    layers: BondLayers,
    shift: float,
) -> Tensor:
    """s(s(own[dst] + other[src] + c) w4 + b4) w5 + b5, [K, E, W]; s(x) = softplus(x) − shift.

    c = bond[kind] if there is a `kind`, else c = s(s(bond w1 + b1) w2 + b2) w3.

    Args:
        bond: [K, E, W] or, by kind, [K, L, H].
        indices: dst, src and kind or None, each [E] int64.
    """
    if fused(own_knh):
        new_kew: Tensor = _UpdateBonds.apply(own_knh, other_knh, bond, *indices, shift, *layers)
        return new_kew
    dst_e, src_e, kind_e = indices
    w1, b1, w2, b2, w3, w4, b4, w5, b5 = layers
    if kind_e is not None:
        bond_keh = gather(bond, kind_e)
    else:
        assert w1 is not None and w2 is not None and w3 is not None
        first_keh = softplus(torch.bmm(bond, w1), shift, b1)
        bond_keh = torch.bmm(softplus(torch.bmm(first_keh, w2), shift, b2), w3)
    hidden_keh = softplus(gather(own_knh, dst_e) + gather(other_knh, src_e) + bond_keh, shift)
    return torch.bmm(softplus(torch.bmm(hidden_keh, w4), shift, b4), w5) + b5


class _UpdateBonds(Function):
    @staticmethod
    def forward(
        ctx: Any,
        own_knh: Tensor,
        other_knh: Tensor,
        bond: Tensor,
        dst_e: Tensor,
        src_e: Tensor,
        kind_e: Tensor | None,
        shift: float,
        *layers: Tensor | None,
    ) -> Tensor:
        dense = [part.contiguous() for part in (own_knh, other_knh, bond)]
        # A missing `kind` is part of the function's name: the pointer of an empty tensor is null
        # too.
        indices = [index.contiguous() for index in (dst_e, src_e, kind_e) if index is not None]
        chosen = layers if kind_e is None else layers[KIND_SAYS:]
        weights = [weight.contiguous() for weight in chosen if weight is not None]
        ctx.kernel = "bonds" if kind_e is None else "bonds_by_kind"
        y_kew = own_knh.new_empty(len(own_knh), len(dst_e), weights[-1].shape[2])
        call(f"{ctx.kernel}_forward", *dense, *indices, *weights, y_kew, shift)
        ctx.save_for_backward(*dense, *weights)
        ctx.indices, ctx.shift = indices, shift
        return y_kew

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_kew: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        grads = [torch.zeros_like(x) for x in saved]
        given = (*saved[:3], *ctx.indices, *saved[3:], dy_kew.contiguous())
        call(f"{ctx.kernel}_backward", *given, *grads, ctx.shift)
        absent = [None] * KIND_SAYS if ctx.kernel == "bonds_by_kind" else []
        return *grads[:3], None, None, None, None, *absent, *grads[3:]
