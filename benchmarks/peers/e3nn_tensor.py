"""The equivariant network as e3nn has its parts, over all atoms and edges.

Legend: N nodes, E edges, A channels, H features of an edge, W weights of a tensor product.

Edges are updated as in `trainables/models/tensor.py`. A convolution is NequIP's (Batzner et al.
2022, doi:10.1038/s41467-022-29939-5): a linear layer, the tensor product "uvu" of a neighbour's
features with the harmonics of the direction, up to l_max, a linear layer and gates.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from e3nn import o3
from e3nn.nn import Gate
from torch import Tensor, nn
from torch.nn.functional import silu

from trainables.models.tensor import Dense, EdgeUpdate, RadialBasis
from trainables.representations.graph_batch import FullBatch


def irreps(width: int, order: int) -> o3.Irreps:
    """Channels of each order up to one, of natural parity."""
    return o3.Irreps([(width, (one, (-1) ** one)) for one in range(order + 1)])


class Convolution(nn.Module):
    """One update of edges and nodes."""

    def __init__(
        self, source: int, result: int, width: int, hidden: int, l_max: int, ends: bool
    ) -> None:
        super().__init__()
        self.width = width
        given, made = irreps(width, source), irreps(width, result)
        self.update = EdgeUpdate(width, hidden) if ends else None
        self.product = _uvu(given, o3.Irreps.spherical_harmonics(l_max), made)
        self.weight = Dense(hidden, self.product.weight_numel)
        gates = o3.Irreps([(width, (0, 1))] * result)
        self.gate = Gate(made[:1], [silu], gates, [torch.sigmoid] * result, made[1:])
        self.send, self.keep = o3.Linear(given, given), o3.Linear(given, made)
        self.take = o3.Linear(self.product.irreps_out, self.gate.irreps_in)

    def forward(
        self, x_n: Tensor, e_eh: Tensor, direction_e: Tensor, batch: FullBatch, reach_n: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Updated nodes [N, Σ A(2l + 1)] and edges [E, H]."""
        if self.update is not None:
            e_eh = self.update(x_n[:, : self.width], e_eh, batch.dst, batch.src)
        sent_e = self.product(self.send(x_n)[batch.src], direction_e, self.weight(e_eh))
        zero = sent_e.new_zeros(batch.nodes, sent_e.shape[1])
        arrived_n = zero.index_add(0, batch.dst, sent_e) / reach_n[:, None]
        return self.keep(x_n) + self.gate(self.take(arrived_n)), e_eh


def _uvu(given: o3.Irreps, harmonics: o3.Irreps, made: o3.Irreps) -> o3.TensorProduct:
    """All paths to wanted orders, each with a weight a channel and edge."""
    paths = [
        (width, one, i, j)
        for i, (width, one_in) in enumerate(given)
        for j, (_, other) in enumerate(harmonics)
        for one in one_in * other
        if one in made
    ]
    middle = o3.Irreps([(width, one) for width, one, _, _ in paths])
    instructions = [(i, j, k, "uvu", True) for k, (_, _, i, j) in enumerate(paths)]
    return o3.TensorProduct(
        given, harmonics, middle, instructions, shared_weights=False, internal_weights=False
    )


class E3nnNetwork(nn.Module):
    """Node features [N, A] of all atoms after the last convolution."""

    def __init__(
        self,
        dim: int,
        *,
        width: int,
        l_max: int,
        layers: int,
        hidden: int,
        basis: int,
        cutoff: float,
        ends: bool,
    ) -> None:
        super().__init__()
        self.harmonics = o3.Irreps.spherical_harmonics(l_max)
        self.basis = RadialBasis(cutoff, basis)
        self.atoms, self.edges = Dense(dim, width), Dense(basis, hidden)
        orders = [0, *[l_max] * layers]
        self.convolutions = nn.ModuleList(
            Convolution(source, result, width, hidden, l_max, ends)
            for source, result in pairwise(orders)
        )

    def forward(self, elements_zd: Tensor, batch: FullBatch) -> Tensor:
        """From vectors of the elements [Z, D]."""
        length_e = batch.vector.norm(dim=1)
        # e3nn orders a vector as y, z, x
        direction_e = o3.spherical_harmonics(
            self.harmonics, batch.vector[:, [1, 2, 0]], normalize=True, normalization="component"
        )
        ones = torch.ones_like(length_e)
        reach_n = ones.new_zeros(batch.nodes).index_add(0, batch.dst, ones).clamp(min=1)
        x_n = silu(self.atoms(elements_zd))[batch.z]
        e_eh = silu(self.edges(self.basis(length_e)))
        for convolution in self.convolutions:
            x_n, e_eh = convolution(x_n, e_eh, direction_e, batch, reach_n)
        return x_n
