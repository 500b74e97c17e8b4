"""A small equivariant network in double precision: on all atoms, and on orbits.

Legend: N nodes, E edges, C channels, M = 2l + 1 components, G basis functions, W packed entries.

On all atoms a message couples a neighbour's features with the harmonics of the displacement by
e3nn's coupling coefficients. On orbits the same happens in the frame of an edge, along z.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
import torch
from e3nn import o3
from torch import Tensor, nn

from trainables.representations.graph_batch import FullBatch, OrbitBatch
from trainables.representations.wigner import ORDERS

HIGHEST, CHANNELS, BASIS, LAYERS, CUTOFF = 3, 4, 5, 2, 4.0
Features = dict[int, Tensor]  # by l: [N, C, M]
PATHS = [
    (one, other, result)
    for one in range(HIGHEST + 1)
    for other in range(HIGHEST + 1)
    for result in range(abs(one - other), min(HIGHEST, one + other) + 1)
    if (one + other + result) % 2 == 0  # natural parity
]


def blocks(packed: Tensor) -> Features:
    """By l: [N, M, M] matrices, from the packed ones [N, W]."""
    found, start = {}, 0
    for order in ORDERS:
        size = 2 * order + 1
        found[order] = packed[:, start : start + size**2].reshape(-1, size, size)
        start += size**2
    return found


def turned(features: Features, packed: Tensor) -> Features:
    """Features multiplied by packed matrices; those of l = 0 stay."""
    found = {order: torch.einsum("nij,ncj->nci", d, features[order]) for order, d in
             blocks(packed).items()}  # fmt: skip
    return {0: features[0], **found}


class Network(nn.Module):
    """Convolutions, each with mixing of channels and gates by scalars."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(119, CHANNELS)
        self.radial = nn.ModuleList(nn.Linear(BASIS, len(PATHS) * CHANNELS) for _ in range(LAYERS))
        self.mix = nn.ParameterList(
            0.3 * torch.randn(LAYERS, CHANNELS, CHANNELS) for _ in range(HIGHEST + 1)
        )
        self.own = nn.ParameterList(
            0.3 * torch.randn(LAYERS, CHANNELS, CHANNELS) for _ in range(HIGHEST + 1)
        )
        self.gate = nn.ModuleList(nn.Linear(CHANNELS, CHANNELS * HIGHEST) for _ in range(LAYERS))
        self.head = nn.Sequential(nn.Linear(CHANNELS, CHANNELS), nn.SiLU(), nn.Linear(CHANNELS, 1))
        self.to(torch.float64)

    def on_atoms(self, batch: FullBatch) -> Features:
        """Features of all atoms, in the orientation of the crystal."""
        # e3nn orders a vector as y, z, x
        vector, length = batch.vector[:, [1, 2, 0]], batch.vector.norm(dim=1)
        y = {one: o3.spherical_harmonics(one, vector, True) for one in range(HIGHEST + 1)}

        def messages(layer: int, features: Features) -> Features:
            sent = {order: of[batch.src] for order, of in features.items()}
            return self._coupled(layer, sent, y, length)

        return self._layers(batch.z, batch.dst, messages)

    def on_orbits(self, batch: OrbitBatch) -> Features:
        """Features of the orbits' first atoms, in standard orientation."""
        pole = torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64)
        y = {one: o3.spherical_harmonics(one, pole, True) for one in range(HIGHEST + 1)}

        def messages(layer: int, features: Features) -> Features:
            sent = {order: of[batch.src] for order, of in features.items()}
            framed = self._coupled(layer, turned(sent, batch.into), y, batch.length)
            weighed = {order: of * batch.count[:, None, None] for order, of in framed.items()}
            return turned(weighed, batch.out)

        return self._layers(batch.z, batch.dst, messages)

    def energy(self, features: Features, batch: FullBatch | OrbitBatch) -> Tensor:
        """[B] means, over all atoms, of an output."""
        one = self.head(features[0][..., 0])[:, 0] * batch.multiplicity
        zero = one.new_zeros(batch.crystals)
        total = zero.index_add(0, batch.node_crystal, one)
        return total / zero.index_add(0, batch.node_crystal, batch.multiplicity)

    def loss(self, features: Features, batch: FullBatch | OrbitBatch) -> Tensor:
        """Depends on the outputs, and on the features of all l."""
        squares = sum(of.square().sum(dim=(1, 2)) for of in features.values())
        return self.energy(features, batch).exp().sum() + (squares * batch.multiplicity).sum()

    def _layers(
        self, z: Tensor, dst: Tensor, messages: Callable[[int, Features], Features]
    ) -> Features:
        scalars = self.table(z)[..., None]
        features = {
            order: scalars if order == 0 else scalars.new_zeros(len(z), CHANNELS, 2 * order + 1)
            for order in range(HIGHEST + 1)
        }
        for layer in range(LAYERS):
            arrived = messages(layer, features)
            summed = {
                order: torch.einsum("ab,nbm->nam", self.own[order][layer], features[order])
                + torch.einsum("ab,nbm->nam", self.mix[order][layer], of.new_zeros(
                    len(z), *of.shape[1:]).index_add(0, dst, of))
                for order, of in arrived.items()
            }  # fmt: skip
            gates = torch.sigmoid(self.gate[layer](summed[0][..., 0])).chunk(HIGHEST, dim=1)
            features = {0: nn.functional.silu(summed[0])}
            for order in range(1, HIGHEST + 1):
                features[order] = summed[order] * gates[order - 1][..., None]
        return features

    def _coupled(
        self, layer: int, sent: Features, y: Mapping[int, Tensor], length: Tensor
    ) -> Features:
        centres = torch.linspace(0.5, CUTOFF, BASIS, dtype=torch.float64)
        basis = torch.exp(-((length[:, None] - centres) ** 2))
        weights = self.radial[layer](basis).reshape(len(length), len(PATHS), CHANNELS)
        found = {
            order: length.new_zeros(len(length), CHANNELS, 2 * order + 1)
            for order in range(HIGHEST + 1)
        }
        for path, (one, other, result) in enumerate(PATHS):
            coupling = o3.wigner_3j(one, other, result, dtype=torch.float64)
            direction = y[other].expand(len(length), -1)
            part = torch.einsum("ijk,eci,ej->eck", coupling, sent[one], direction)
            found[result] = found[result] + part * weights[:, path, :, None]
        return found


def gradients(network: Network, loss: Tensor) -> np.ndarray:
    """The derivatives with respect to all parameters, one after the other."""
    found = torch.autograd.grad(loss, cast(list[Tensor], list(network.parameters())))
    return torch.cat([one.flatten() for one in found]).numpy()
