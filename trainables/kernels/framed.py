"""Convolutions of spherical features, in the frame of each edge.

Legend: K models, N nodes, E edges, A channels, I and O components of features before and after,
(l_max + 1)², of orders l one after the other; P couplings, W packed entries of Wigner matrices.

In a frame in which the edge points along z, its harmonics have a component of m = 0 alone. So a
coupling of features with them, of natural parity, joins components of one m, and those of m and -m
alike: each is a number that depends on the two orders and on |m| (Passaro & Zitnick 2023,
arXiv:2302.03655, for all edges; their rotations cost as much as the couplings here).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from math import isqrt
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from trainables.kernels.calling import call, fused, of_models, stacked

HIGHEST = 3  # order for which there are kernels


class Coupling(NamedTuple):
    """What one number couples: components m and -m of two orders."""

    m: int
    source: int
    result: int


@cache
def couplings(source: int, result: int) -> tuple[Coupling, ...]:
    """The P couplings of features up to an order with results up to another; the kernels' order."""
    return tuple(
        Coupling(m, one, other)
        for m in range(min(source, result) + 1)
        for one, other in product(range(m, source + 1), range(m, result + 1))
    )


@dataclass(frozen=True)
class FramedEdges:
    """Edges with their frames, the same for all models; one object, as vmap looks into tuples.

    Attributes:
        dst, src: [E] int64, from which node to which a message goes: from src to dst.
        weight: [E], a factor of the message; gets no gradient.
        into, out: [E, W] packed Wigner matrices, as in `OrbitBatch`.
    """

    dst: Tensor
    src: Tensor
    weight: Tensor
    into: Tensor
    out: Tensor

    def dense(self) -> list[Tensor]:
        """Dense arrays, in the order in which the kernels take them."""
        parts = (self.dst, self.src, self.weight, self.into, self.out)
        return [part.contiguous() for part in parts]


def framed_sum(x_ina: Tensor, gain_epa: Tensor, edges: FramedEdges, components: int) -> Tensor:
    """Σ_e weight · out · C(gain, into · x[:, src]) over the edges of each dst, [O, N, A].

    Args:
        gain_epa: of each edge and channel, in the order of `couplings`.
        components: O.

    Raises:
        ValueError: there are other couplings, or the matrices are of lower orders.
    """
    _demand_orders(x_ina, gain_epa, edges, components)
    if fused(x_ina):
        y_ona: Tensor = _FramedSum.apply(x_ina, gain_epa, edges, components)
        return y_ona
    turned_iea = _turned(x_ina.index_select(1, edges.src), edges.into)
    coupled_oea = _coupled(turned_iea, gain_epa, isqrt(components) - 1)
    message_oea = _turned(coupled_oea, edges.out) * edges.weight[:, None]
    zero_ona = x_ina.new_zeros(components, *x_ina.shape[1:])
    return zero_ona.index_add(1, edges.dst, message_oea)


def _demand_orders(x_ina: Tensor, gain_epa: Tensor, edges: FramedEdges, components: int) -> None:
    """The kernel takes its loops from the numbers of components, and does not check the others."""
    orders = isqrt(x_ina.shape[-3]) - 1, isqrt(components) - 1
    if (x_ina.shape[-3], components) != tuple((one + 1) ** 2 for one in orders):
        raise ValueError(f"{x_ina.shape[-3]} and {components} components are no (l_max + 1)²")
    wanted = len(couplings(*orders))
    if gain_epa.shape[-2] != wanted:
        raise ValueError(f"{gain_epa.shape[-2]} gains for the {wanted} couplings of l ≤ {orders}")
    entries = sum((2 * order + 1) ** 2 for order in range(1, max(orders) + 1))
    if max(orders) > HIGHEST or edges.into.shape[-1] < entries:
        raise ValueError(f"Wigner matrices up to l = {max(orders)} are not there")


def _turned(x_iea: Tensor, packed_ew: Tensor) -> Tensor:
    """Features of each edge, multiplied by its Wigner matrices."""
    parts, start = [x_iea[:1]], 0
    for order in range(1, isqrt(len(x_iea))):
        size = 2 * order + 1
        matrix = packed_ew[:, start : start + size**2].unflatten(1, (size, size))
        own = x_iea[order**2 : order**2 + size]
        parts.append(torch.einsum("eij,jea->iea", matrix, own))
        start += size**2
    return torch.cat(parts)


def _coupled(x_iea: Tensor, gain_epa: Tensor, highest: int) -> Tensor:
    """Results [O, E, A] of the couplings, in the frames of the edges."""
    found: list[Tensor | None] = [None] * (highest + 1) ** 2
    for place, (m, one, other) in enumerate(couplings(isqrt(len(x_iea)) - 1, highest)):
        for sign in {m, -m}:
            part = gain_epa[:, place] * x_iea[one**2 + one + sign]
            at = other**2 + other + sign
            before = found[at]
            found[at] = part if before is None else before + part
    zero = torch.zeros_like(x_iea[0])
    return torch.stack([zero if one is None else one for one in found])


_of_models = partial(of_models, axes=4)


class _FramedSum(Function):
    """x [I, N, A] and gain [E, P, A] of one model, or of K models with an axis K in front."""

    @staticmethod
    def forward(x: Tensor, gain: Tensor, edges: FramedEdges, components: int) -> Tensor:
        y = x.new_zeros(*x.shape[:-3], components, *x.shape[-2:])
        call("framed_forward", _of_models(x), _of_models(gain), *edges.dense(), _of_models(y))
        return y

    @staticmethod
    def setup_context(
        ctx: Any, inputs: tuple[Tensor, Tensor, FramedEdges, int], output: Tensor
    ) -> None:
        x, gain, ctx.edges, _ = inputs
        ctx.save_for_backward(x, gain)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, gain = ctx.saved_tensors
        dx = torch.zeros_like(x, memory_format=torch.contiguous_format)
        dgain = torch.empty_like(gain, memory_format=torch.contiguous_format)
        given = _of_models(x), _of_models(gain), *ctx.edges.dense(), _of_models(dy)
        call("framed_backward", *given, _of_models(dx), _of_models(dgain))
        return dx, dgain, None, None

    @staticmethod
    def vmap(
        info: Any,
        dims: tuple[int | None, ...],
        x: Tensor,
        gain: Tensor,
        edges: FramedEdges,
        components: int,
    ) -> tuple[Tensor, int]:
        x_kina, gain_kepa = stacked((x, gain), dims[:2], info.batch_size)
        return _FramedSum.apply(x_kina, gain_kepa, edges, components), 0
