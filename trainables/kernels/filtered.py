"""SchNet's continuous-filter convolution (Schütt et al. 2018, eq. 2, doi:10.1063/1.5019779).

Legend: K models, N nodes, E edges, L distinct bond lengths, A features.

Unlike the other operations it is written for one model, as a plain network calls it. Under
`torch.func.vmap` one call of a kernel serves all K; vmap's own rules would repeat each index for
every model and feature.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from trainables.kernels.calling import call, fused, of_models, stacked


@dataclass(frozen=True)
class FilteredEdges:
    """Edges with a filter each, the same for all models; one object, as vmap looks into tuples.

    Attributes:
        dst, src: [E] int64, from which node to which a message goes: from src to dst.
        kind: [E] int64, the filter.
        weight: [E], a factor of the message; gets no gradient.
    """

    dst: Tensor
    src: Tensor
    kind: Tensor
    weight: Tensor

    def dense(self) -> list[Tensor]:
        """Dense arrays, in the order in which the kernels take them."""
        return [part.contiguous() for part in (self.dst, self.src, self.kind, self.weight)]


def filtered_sum(x_na: Tensor, filter_la: Tensor, edges: FilteredEdges) -> Tensor:
    """Σ_e weight_e · filter[kind_e] ∘ x[src_e] over the edges of each dst, [N, A]."""
    if fused(x_na):
        y_na: Tensor = _FilteredSum.apply(x_na, filter_la, edges)
        return y_na
    filter_ea = filter_la.index_select(0, edges.kind) * edges.weight[:, None]
    message_ea = x_na.index_select(0, edges.src) * filter_ea
    return torch.zeros_like(x_na).index_add(0, edges.dst, message_ea)


_of_models = partial(of_models, axes=3)


class _FilteredSum(Function):
    """x [N, A] and filter [L, A] of one model, or of K models with an axis K in front."""

    @staticmethod
    def forward(x: Tensor, filter_: Tensor, edges: FilteredEdges) -> Tensor:
        y = _zeros(x)
        call("filtered_forward", _of_models(x), _of_models(filter_), *edges.dense(), _of_models(y))
        return y

    @staticmethod
    def setup_context(
        ctx: Any, inputs: tuple[Tensor, Tensor, FilteredEdges], output: Tensor
    ) -> None:
        x, filter_, ctx.edges = inputs
        ctx.save_for_backward(x, filter_)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, None]:
        x, filter_ = ctx.saved_tensors
        dx, dfilter = _zeros(x), _zeros(filter_)
        given = _of_models(x), _of_models(filter_), *ctx.edges.dense(), _of_models(dy)
        call("filtered_backward", *given, _of_models(dx), _of_models(dfilter))
        return dx, dfilter, None

    @staticmethod
    def vmap(
        info: Any, dims: tuple[int | None, ...], x: Tensor, filter_: Tensor, edges: FilteredEdges
    ) -> tuple[Tensor, int]:
        x_kna, filter_kla = stacked((x, filter_), dims[:2], info.batch_size)
        return _FilteredSum.apply(x_kna, filter_kla, edges), 0


def _zeros(x: Tensor) -> Tensor:
    return torch.zeros_like(x, memory_format=torch.contiguous_format)
