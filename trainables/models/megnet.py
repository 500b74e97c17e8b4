"""MEGNet (Chen et al. 2019, doi:10.1021/acs.chemmater.9b01294) over quotient graphs.

Legend: K models, B crystals, N nodes, E edges, L distinct bond lengths; v atoms, e bonds, u state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from trainables.kernels.ops import BondLayers, gather, softplus, update_bonds
from trainables.models.embedding import HybridEmbedding, Mixing
from trainables.models.graph_batch import GraphBatch
from trainables.models.layers import (
    GaussianBasis,
    Generators,
    GlorotLinear,
    Set2Set,
    scatter_mean,
)

WIDTH = 32
HIDDEN = 64


LN_2 = math.log(2)


def shifted_softplus(x: Tensor, bias: Tensor | None = None) -> Tensor:
    """softplus(x + bias) − ln 2, which is 0 at 0."""
    return softplus(x, LN_2, bias)


class ActivatedLinear(GlorotLinear):
    """`shifted_softplus` of a linear layer, [K, *, D] -> [K, *, F]."""

    def forward(self, x: Tensor) -> Tensor:
        return shifted_softplus(self.product(x), self.bias)


class PreDense(nn.Module):
    """[K, *, D] -> [K, *, 32] by two activated layers [64, 32]."""

    def __init__(self, generators: Generators, d_in: int) -> None:
        super().__init__()
        self.first = ActivatedLinear(generators, d_in, HIDDEN)
        self.second = ActivatedLinear(generators, HIDDEN, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


class Update(nn.Module):
    """φ = [64, 64, 32] of concatenated parts; the last layer is linear.

    `forward` is what is left to do after the first layer, whose product a caller applies to each
    part before gathering it (W[a, b] = W_a·a + W_b·b) and adding `bias`.
    """

    def __init__(self, generators: Generators, parts: int) -> None:
        super().__init__()
        first = GlorotLinear(generators, parts * WIDTH, HIDDEN)
        assert first.bias is not None
        self.parts = nn.ParameterList(
            part.clone() for part in first.weight.data.split(WIDTH, dim=1)
        )
        self.bias = first.bias
        self.second = ActivatedLinear(generators, HIDDEN, HIDDEN)
        self.third = GlorotLinear(generators, HIDDEN, WIDTH)

    def project(self, part: int, x: Tensor) -> Tensor:
        return torch.bmm(x, self.parts[part])

    def forward(self, hidden: Tensor) -> Tensor:
        return self.third(self.second(hidden))


class MEGNetBlock(nn.Module):
    """One update of bonds, atoms and state (eqs 2.8–2.13 of the thesis), with residuals."""

    def __init__(self, generators: Generators, *, pre_dense: bool) -> None:
        super().__init__()
        self.pre = (
            nn.ModuleList(PreDense(generators, WIDTH) for _ in range(3)) if pre_dense else None
        )
        self.bond = Update(generators, 4)
        self.atom = Update(generators, 3)
        self.state = Update(generators, 3)

    def _bond_layers(self) -> BondLayers:
        """All that is left to do to a bond after its atoms were gathered."""
        rest = (*self.bond.second.affine(), *self.bond.third.affine())
        if self.pre is None:
            return BondLayers(None, None, None, None, None, *rest)
        pre = cast(PreDense, self.pre[1])
        return BondLayers(*pre.first.affine(), *pre.second.affine(), self.bond.parts[2], *rest)

    def forward(
        self, v: Tensor, e: Tensor, u: Tensor, batch: GraphBatch
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Updated v [K, N, 32], e [K, E, 32] and u [K, B, 32].

        Before the first block, bonds of one length are alike, and e comes as [K, L, 32].
        """
        v_in, e_in, u_in = v, e, u
        if self.pre is not None:
            v, u = self.pre[0](v), self.pre[2](u)
        bond, atom, state = self.bond, self.atom, self.state
        # An edge lies in the crystal of its dst, so the state comes along with dst's features.
        of_state = gather(bond.project(3, u) + bond.bias, batch.node_crystal)
        own, other = bond.project(1, v) + of_state, bond.project(0, v)
        if self.pre is None:
            kind, e_in = batch.edge_length, gather(e, batch.edge_length)
            e = bond.project(2, e)
        else:
            kind = None
        e = update_bonds(own, other, e, (batch.dst, batch.src, kind), self._bond_layers(), LN_2)
        v = atom(
            shifted_softplus(
                atom.project(0, scatter_mean(e, batch.dst, batch.nodes, batch.count))
                + atom.project(1, v)
                + gather(atom.project(2, u), batch.node_crystal),
                atom.bias,
            )
        )
        mean_e = scatter_mean(e, batch.edge_crystal, batch.crystals, batch.bonds)
        mean_v = scatter_mean(v, batch.node_crystal, batch.crystals, batch.multiplicity)
        u = state.project(0, mean_e) + state.project(1, mean_v) + state.project(2, u)
        u = state(shifted_softplus(u, state.bias))
        return v_in + v, e_in + e, u_in + u


class MEGNet(nn.Module):
    """[K, B] standardised predictions of K MEGNets; the state of a crystal starts as two zeros.

    The mean over no bonds is 0 and Set2Set over no bonds is 0: an isolated atom is no special case.
    Arguments as of `CGCNN`.
    """

    def __init__(
        self,
        generators: Generators,
        mixings: Sequence[Mixing],
        descriptor: Tensor,
        dim: int,
        *,
        blocks: int = 3,
    ) -> None:
        super().__init__()
        self.embedding = HybridEmbedding(generators, mixings, descriptor, dim)
        self.basis = GaussianBasis(0.0, 4.0, 25, 0.4 * math.sqrt(2))
        self.atoms = PreDense(generators, dim)
        self.bonds = PreDense(generators, 25)
        self.state = PreDense(generators, 2)
        self.blocks = nn.ModuleList(
            MEGNetBlock(generators, pre_dense=block > 0) for block in range(blocks)
        )
        self.pool_atoms = Set2Set(generators, WIDTH)
        self.pool_bonds = Set2Set(generators, WIDTH)
        self.head_1 = ActivatedLinear(generators, 5 * WIDTH, 32)
        self.head_2 = ActivatedLinear(generators, 32, 16)
        self.out = GlorotLinear(generators, 16, 1)

    def _passed(self, batch: GraphBatch) -> tuple[list[Tensor], Tensor, Tensor]:
        v = gather(self.atoms(self.embedding()), batch.z)
        e = self.bonds(self.basis(batch.length))
        u = self.state(batch.length.new_zeros(batch.crystals, 2))
        layers = []
        for block in self.blocks:
            v, e, u = block(v, e, u, batch)
            layers.append(v)
        return layers, e, u

    def node_layers(self, batch: GraphBatch) -> list[Tensor]:
        """Node features [K, N, 32] after each block."""
        return self._passed(batch)[0]

    def forward(self, batch: GraphBatch) -> Tensor:
        layers, e, u = self._passed(batch)
        size = batch.crystals
        atoms = self.pool_atoms(layers[-1], batch.multiplicity, batch.node_crystal, size)
        bonds = self.pool_bonds(e, batch.bonds, batch.edge_crystal, size)
        crystal = self.head_2(self.head_1(torch.cat([atoms, bonds, u], dim=-1)))
        return self.out(crystal).squeeze(-1)
