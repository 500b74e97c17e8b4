"""An equivariant network of one model, over orbit graphs.

Legend: N nodes, E edges, Z elements, D dimensions of the embedding, A channels, H features of an
edge, G basis functions, P couplings, M = (l_max + 1)² components of orders l one after the other.

Features of order l have natural parity, (-1)^l. A message is a neighbour's features, coupled with
the direction to it in the frame of the edge, where that costs a number a channel and coupling
(`kernels/framed.py`). These numbers come from the edge: its length and, as a rule, what both its
ends know that is invariant. With l_max = 0 it is an invariant network of the same size.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, silu

from trainables.kernels.ops import (
    FramedEdges,
    couplings,
    framed_sum,
    gather,
    scatter_sum,
)
from trainables.models import cutoffs
from trainables.models.heads import Set2SetHead
from trainables.models.plain_layers import Dense, shares
from trainables.models.stacking import Backbone
from trainables.representations.graph_batch import OrbitBatch


def components(order: int) -> int:
    """M of features up to an order."""
    return (order + 1) ** 2


class Mixing(nn.Module):
    """Channels mixed, with weights for each order: x [M, N, A] -> [M, N, A].

    Args:
        order: highest l.
        width: A.
    """

    order_m: Tensor

    def __init__(self, order: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(order + 1, width, width) / math.sqrt(width))
        orders = torch.arange(order + 1)
        self.register_buffer("order_m", orders.repeat_interleave(2 * orders + 1), persistent=False)

    def forward(self, x_mna: Tensor) -> Tensor:
        """Each component by the weights of its order."""
        return torch.bmm(x_mna, self.weight.index_select(0, self.order_m))


class RadialBasis(nn.Module):
    """Bessel functions that fade to 0 at the cutoff (Gasteiger et al. 2020, arXiv:2003.03123).

    Args:
        cutoff: in Å.
        size: G.
    """

    number_g: Tensor

    def __init__(self, cutoff: float, size: int) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.register_buffer("number_g", torch.arange(1.0, size + 1) * math.pi, persistent=False)

    def forward(self, length_e: Tensor) -> Tensor:
        """Of lengths in Å, [E, G]."""
        part_e1 = (length_e / self.cutoff)[:, None]
        fade_e1 = 1 - part_e1**6 * (28 - 48 * part_e1 + 21 * part_e1**2)
        return fade_e1 * math.sqrt(2) * torch.sin(self.number_g * part_e1) / part_e1


class EdgeUpdate(nn.Module):
    """What edges know, and add by what their ends know: e [E, H] -> [E, H].

    Args:
        width: A; hidden: H.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.own = Dense(width, hidden)
        self.other = Dense(width, hidden, bias=False)
        self.edge = Dense(hidden, hidden, bias=False)
        self.deep = Dense(hidden, hidden)

    def forward(self, scalars_na: Tensor, e_eh: Tensor, dst_e: Tensor, src_e: Tensor) -> Tensor:
        """A message of two layers, added to what it is made from (coGN's, see `cogn.py`)."""
        own_eh = gather(self.own(scalars_na), dst_e)
        other_eh = gather(self.other(scalars_na), src_e)
        return e_eh + silu(self.deep(silu(own_eh + other_eh + self.edge(e_eh))))


class Attention(nn.Module):
    """Shares of a node's neighbours, one a head, by what the edges know.

    Args:
        hidden: H; width: A, which the heads divide evenly.
    """

    def __init__(self, hidden: int, heads: int, width: int) -> None:
        super().__init__()
        self.logit = Dense(hidden, heads)
        self.channels = width // heads

    def forward(self, e_eh: Tensor, edges: FramedEdges, nodes: int) -> Tensor:
        """[E, A] how a neighbour of a node counts; their weighted sum is 1."""
        share_ec = shares(self.logit(e_eh), edges.dst, nodes, edges.weight)
        return share_ec.repeat_interleave(self.channels, dim=-1)


class Gate(nn.Module):
    """Non-linear features: scalars by SiLU, the other orders times a number of each channel.

    The numbers are made of scalars and of the mean squares of the orders. (Norms would turn
    rounding noise at symmetric sites, where features are zero, into numbers of order 1.)

    Args:
        order: highest l; width: A.
        extra: H.
    """

    def __init__(self, order: int, width: int, extra: int) -> None:
        super().__init__()
        self.sizes = [2 * one + 1 for one in range(order + 1)]
        self.open = Dense((1 + order) * width + extra, (1 + order) * width)

    def forward(self, x_mna: Tensor, extra_nh: Tensor) -> Tensor:
        """[M, N, A] of [M, N, A] and of further scalars."""
        scalars_1na, *others = x_mna.split(self.sizes)
        squares = [part.square().mean(dim=0) for part in others]
        opened = self.open(torch.cat([scalars_1na.squeeze(0), *squares, extra_nh], dim=-1))
        scalars_na, *gates = opened.chunk(len(self.sizes), dim=-1)
        gated = [part * torch.sigmoid(gate) for part, gate in zip(others, gates, strict=True)]
        return torch.cat([silu(scalars_na)[None], *gated])


class Convolution(nn.Module):
    """One update of edges and nodes.

    Args:
        source, result: highest l of what comes in and of what goes out.
        width: A; hidden: H.
        ends: whether edges know their ends, or lengths alone.
        heads: of an attention over the neighbours; 0 for their mean.
    """

    def __init__(
        self, source: int, result: int, width: int, hidden: int, *, ends: bool, heads: int
    ) -> None:
        super().__init__()
        self.result = result
        self.update = EdgeUpdate(width, hidden) if ends else None
        self.attend = Attention(hidden, heads, width) if heads else None
        self.gain = Dense(hidden, len(couplings(source, result)) * width)
        self.send = Mixing(source, width)
        self.take = Mixing(result, width)
        self.gate = Gate(result, width, hidden)

    def forward(self, x_mna: Tensor, e_eh: Tensor, edges: FramedEdges) -> tuple[Tensor, Tensor]:
        """Updated nodes [M, N, A] and edges [E, H].

        Args:
            edges: of weights whose sum is 1 for each node.
        """
        _, nodes, width = x_mna.shape
        if self.update is not None:
            e_eh = self.update(x_mna[0], e_eh, edges.dst, edges.src)
        gain_epa = self.gain(e_eh).unflatten(-1, (-1, width))
        if self.attend is not None:
            gain_epa = gain_epa * self.attend(e_eh, edges, nodes)[:, None]
        heard_mna = framed_sum(self.send(x_mna), gain_epa, edges, components(self.result))
        mean_nh = scatter_sum(e_eh, edges.dst, nodes, edges.weight)
        return _sum(x_mna, self.gate(self.take(heard_mna), mean_nh)), e_eh


def _sum(x_mna: Tensor, y_mna: Tensor) -> Tensor:
    """x + y, up to the orders of y; those that x lacks are zero."""
    if len(x_mna) >= len(y_mna):
        return x_mna[: len(y_mna)] + y_mna
    return y_mna + pad(x_mna, (0, 0, 0, 0, 0, len(y_mna) - len(x_mna)))


class TensorNetwork(Backbone):
    """Node features of the network; the head is apart, `Set2SetHead` of numbers of a crystal.

    Args:
        dim: D.
        width, l_max, layers, invariant_layers, hidden, basis, ends, heads: see `TensorOptions`.
        result: highest l of the features after the last convolution; heads of invariants need 0.
    """

    crystal_head = Set2SetHead

    def __init__(
        self,
        dim: int,
        *,
        width: int = 32,
        l_max: int = 2,
        layers: int = 3,
        invariant_layers: int = 0,
        hidden: int = 64,
        basis: int = 12,
        ends: bool = True,
        heads: int = 0,
        result: int = 0,
    ) -> None:
        super().__init__()
        self.width, self.l_max = width, l_max
        self.basis = RadialBasis(cutoffs.TENSOR, basis)
        self.atoms, self.edges = Dense(dim, width), Dense(basis, hidden)
        between = [l_max] * (layers - invariant_layers - 1)
        orders = [0] * (1 + invariant_layers) + between + [result]
        self.convolutions = nn.ModuleList(
            Convolution(before, after, width, hidden, ends=ends, heads=heads)
            for before, after in pairwise(orders)
        )

    def features(self, elements_zd: Tensor, batch: OrbitBatch) -> list[Tensor]:
        """[M, N, A] after each convolution, of the orders that it gives."""
        zero_n = batch.length.new_zeros(batch.nodes)
        total_n = zero_n.index_add(0, batch.dst, batch.count)
        weight_e = batch.count / total_n[batch.dst]
        edges = FramedEdges(batch.dst, batch.src, weight_e, batch.into, batch.out)
        x_mna = silu(self.atoms(elements_zd))[batch.z][None]
        e_eh = silu(self.edges(self.basis(batch.length)))
        layers = []
        for convolution in self.convolutions:
            x_mna, e_eh = convolution(x_mna, e_eh, edges)
            layers.append(x_mna)
        return layers

    def forward(self, elements_zd: Tensor, batch: OrbitBatch) -> list[Tensor]:
        """Their invariant parts, [N, A]."""
        return [x_mna[0] for x_mna in self.features(elements_zd, batch)]
