"""A network of another package: e3nn's tensor products on the full graph.

Legend: N nodes, E edges, A scalars of a node, G basis functions.
"""

from __future__ import annotations

import torch
from e3nn import o3
from torch import Tensor, nn

from tests.extensions.densities import DenseBatch, DenseGraph
from trainables.models.backbones import BackboneSpec
from trainables.models.recipe import Recipe
from trainables.models.stacking import Backbone

CUTOFF, BASIS = 4.0, 6  # Å, number of functions
DIRECTION = o3.Irreps("1x0e + 1x1o")


class Network(Backbone):
    """Two tensor products of neighbours with their directions; the scalars are the features."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.width = dim
        self.irreps = o3.Irreps(f"{dim}x0e + {dim}x1o")
        self.register_buffer("centres", torch.linspace(0.5, CUTOFF, BASIS), persistent=False)
        inputs = (o3.Irreps(f"{dim}x0e"), self.irreps)
        self.products = nn.ModuleList(
            o3.FullyConnectedTensorProduct(given, DIRECTION, self.irreps, shared_weights=False)
            for given in inputs
        )
        self.filters = nn.ModuleList(
            nn.Linear(BASIS, product.weight_numel) for product in self.products
        )
        self.skips = nn.ModuleList(o3.Linear(given, self.irreps) for given in inputs)

    def features(self, elements_zd: Tensor, batch: DenseBatch) -> list[Tensor]:
        """[N, A + 3A] scalars and vectors after each layer."""
        x_n = elements_zd[batch.z] * (1 + batch.density[batch.node_crystal, None])
        length_e1 = batch.vector.norm(dim=1, keepdim=True)
        fade_e1 = 0.5 + 0.5 * torch.cos(length_e1 * torch.pi / CUTOFF)
        basis_eg = torch.exp(-4 * (length_e1 - self.centres).square()) * fade_e1
        # e3nn orders a vector as y, z, x
        direction_e4 = o3.spherical_harmonics(DIRECTION, batch.vector[:, [1, 2, 0]], True)
        found = []
        for product, filters, skip in zip(self.products, self.filters, self.skips, strict=True):
            sent_e = product(x_n[batch.src], direction_e4, filters(basis_eg))
            x_n = skip(x_n).index_add(0, batch.dst, sent_e)
            x_n = torch.cat([x_n[:, : self.width].tanh(), x_n[:, self.width :]], dim=1)
            found.append(x_n)
        return found

    def forward(self, elements_zd: Tensor, batch: DenseBatch) -> list[Tensor]:
        return [x_n[:, : self.width] for x_n in self.features(elements_zd, batch)]


SPEC = BackboneSpec(
    name="equivariant",
    title="Equivariant",
    model="tests.extensions.equivariant:Network",
    stacking="vmap",
    representation=DenseGraph(name="dense-r4", version=1, cutoff=CUTOFF, max_neighbours=None),
    recipes={"tuned": Recipe(name="tuned", optimiser="adamw", lr=3e-3, averaging=0.9)},
    edge_cost=(20.0, 0.2),
    reference="@article{Geiger2022}",
)
