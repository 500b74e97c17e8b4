"""MEGNet (Chen et al. 2019, doi:10.1021/acs.chemmater.9b01294) over quotient graphs.

Legend: K models, B crystals, N nodes, E edges, L distinct bond lengths, W = 32 features, H = 64
hidden ones, M rows of any kind, D and F feature dimensions; v atoms, e bonds, u state.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from trainables.kernels.ops import BondLayers, gather, softplus, update_bonds
from trainables.models import cutoffs
from trainables.models.embedding import HybridEmbedding
from trainables.models.layers import (
    GaussianBasis,
    Generators,
    GlorotLinear,
    Set2Set,
    scatter_mean,
)
from trainables.representations.graph_batch import GraphBatch

WIDTH = 32
HIDDEN = 64
LN_2 = math.log(2)


def shifted_softplus(x_kmf: Tensor, bias_k1f: Tensor | None = None) -> Tensor:
    """softplus(x + bias) − ln 2, [K, M, F], which is 0 at 0."""
    return softplus(x_kmf, LN_2, bias_k1f)


class ActivatedLinear(GlorotLinear):
    """`shifted_softplus` of a linear layer, [K, M, D] -> [K, M, F]."""

    def forward(self, x_kmd: Tensor) -> Tensor:
        """`shifted_softplus`(x W + b), [K, M, F]; an x [M, D] is shared by the models."""
        return shifted_softplus(self.product(x_kmd), self.bias)


class PreDense(nn.Module):
    """[K, M, D] -> [K, M, W] by two activated layers [64, 32]."""

    def __init__(self, generators: Generators, d_in: int) -> None:
        super().__init__()
        self.first = ActivatedLinear(generators, d_in, HIDDEN)
        self.second = ActivatedLinear(generators, HIDDEN, WIDTH)

    def forward(self, x_kmd: Tensor) -> Tensor:
        """Both layers, one after the other, [K, M, W]; an x [M, D] is shared by the models."""
        return self.second(self.first(x_kmd))


class Update(nn.Module):
    """φ = [64, 64, 32] of concatenated parts; the last layer is linear.

    `forward` does what is left after the first layer, whose product a caller applies to each
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

    def project(self, part: int, x_kmw: Tensor) -> Tensor:
        """The first layer's product of one of the parts, [K, M, H], without bias."""
        return torch.bmm(x_kmw, self.parts[part])

    def forward(self, hidden_kmh: Tensor) -> Tensor:
        """The layers after the first, whose activated output comes in, [K, M, W]."""
        return self.third(self.second(hidden_kmh))


class MEGNetBlock(nn.Module):
    """One update of bonds, atoms and state, with residuals (eqs 2.8–2.13 of the thesis)."""

    def __init__(self, generators: Generators, *, pre_dense: bool) -> None:
        super().__init__()
        self.pre = (
            nn.ModuleList(PreDense(generators, WIDTH) for _ in range(3)) if pre_dense else None
        )
        self.bond = Update(generators, 4)
        self.atom = Update(generators, 3)
        self.state = Update(generators, 3)

    def _bond_layers(self) -> BondLayers:
        """The weights for all that is done to a bond after its atoms were gathered."""
        rest = (*self.bond.second.affine(), *self.bond.third.affine())
        if self.pre is None:
            return BondLayers(None, None, None, None, None, *rest)
        pre = cast(PreDense, self.pre[1])
        return BondLayers(*pre.first.affine(), *pre.second.affine(), self.bond.parts[2], *rest)

    def forward(
        self, v_knw: Tensor, e_kew: Tensor, u_kbw: Tensor, batch: GraphBatch
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Updated atoms [K, N, W], bonds [K, E, W] and states [K, B, W].

        Before the first block, bonds of equal length are equal, and e has the shape [K, L, W].
        """
        v_in, e_in, u_in = v_knw, e_kew, u_kbw
        if self.pre is not None:
            v_knw, u_kbw = self.pre[0](v_knw), self.pre[2](u_kbw)
        bond, atom, state = self.bond, self.atom, self.state
        # An edge lies in the crystal of its dst, so the state is added to dst's features.
        of_state_knh = gather(bond.project(3, u_kbw) + bond.bias, batch.node_crystal)
        own_knh, other_knh = bond.project(1, v_knw) + of_state_knh, bond.project(0, v_knw)
        kind_e, given = None, e_kew
        if self.pre is None:
            kind_e, e_in = batch.edge_length, gather(e_kew, batch.edge_length)
            given = bond.project(2, e_kew)
        indices = batch.dst, batch.src, kind_e
        e_kew = update_bonds(own_knh, other_knh, given, indices, self._bond_layers(), LN_2)
        v_knw = atom(
            shifted_softplus(
                atom.project(0, scatter_mean(e_kew, batch.dst, batch.nodes, batch.count))
                + atom.project(1, v_knw)
                + gather(atom.project(2, u_kbw), batch.node_crystal),
                atom.bias,
            )
        )
        mean_e_kbw = scatter_mean(e_kew, batch.edge_crystal, batch.crystals, batch.bonds)
        mean_v_kbw = scatter_mean(v_knw, batch.node_crystal, batch.crystals, batch.multiplicity)
        u_kbh = (
            state.project(0, mean_e_kbw) + state.project(1, mean_v_kbw) + state.project(2, u_kbw)
        )
        u_kbw = state(shifted_softplus(u_kbh, state.bias))
        return v_in + v_knw, e_in + e_kew, u_in + u_kbw


class MEGNet(nn.Module):
    """[K, B] standardised predictions of K MEGNets; the state of a crystal starts as two zeros.

    The mean over no bonds is 0, and so is Set2Set: isolated atoms need no special case.

    Args:
        generators: one for each model; they alone determine the initial weights.
        embedding: vectors of the elements.
        blocks: see `MEGNetOptions`.
        outputs: numbers a crystal; None for one, without an axis of its own.
    """

    def __init__(
        self,
        generators: Generators,
        embedding: HybridEmbedding,
        *,
        blocks: int,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.basis = GaussianBasis(0.0, cutoffs.MEGNET, 25, 0.4 * math.sqrt(2))
        self.atoms = PreDense(generators, embedding.dim)
        self.bonds = PreDense(generators, len(self.basis.centres))
        self.state = PreDense(generators, 2)
        self.blocks = nn.ModuleList(
            MEGNetBlock(generators, pre_dense=block > 0) for block in range(blocks)
        )
        self.pool_atoms = Set2Set(generators, WIDTH)
        self.pool_bonds = Set2Set(generators, WIDTH)
        self.head_1 = ActivatedLinear(generators, 5 * WIDTH, 32)
        self.head_2 = ActivatedLinear(generators, 32, 16)
        self.out = GlorotLinear(generators, 16, outputs or 1)
        self._single = outputs is None

    def _passed(self, batch: GraphBatch) -> tuple[list[Tensor], Tensor, Tensor]:
        """Atoms [K, N, W] after each block; bonds [K, E, W] and states [K, B, W] after the last."""
        v_knw = gather(self.atoms(self.embedding()), batch.z)
        e_kew = self.bonds(self.basis(batch.length))
        u_kbw = self.state(batch.length.new_zeros(batch.crystals, 2))
        layers = []
        for block in self.blocks:
            v_knw, e_kew, u_kbw = block(v_knw, e_kew, u_kbw, batch)
            layers.append(v_knw)
        return layers, e_kew, u_kbw

    def node_layers(self, batch: GraphBatch) -> list[Tensor]:
        """Node features [K, N, W] after each block."""
        return self._passed(batch)[0]

    def forward(self, batch: GraphBatch) -> Tensor:
        """Standardised predictions, [K, B]; [K, B, outputs] if their number is given."""
        layers, e_kew, u_kbw = self._passed(batch)
        size = batch.crystals
        atoms_kbd = self.pool_atoms(layers[-1], batch.multiplicity, batch.node_crystal, size)
        bonds_kbd = self.pool_bonds(e_kew, batch.bonds, batch.edge_crystal, size)
        crystal_kbd = self.head_1(torch.cat([atoms_kbd, bonds_kbd, u_kbw], dim=-1))
        said = self.out(self.head_2(crystal_kbd))
        return said.squeeze(-1) if self._single else said
