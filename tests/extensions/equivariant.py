"""A network and a representation of another package: vectors on the full graph, and a column.

Legend: N nodes, E edges, A node width, G basis functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from trainables.models.backbones import BackboneSpec
from trainables.models.recipe import Recipe
from trainables.models.stacking import Backbone
from trainables.representations.columns import Columns, Scope, column
from trainables.representations.full_graph import FullGraph, FullGraphs
from trainables.representations.graph import Neighbours
from trainables.representations.graph_batch import FullBatch, Taken

CUTOFF = 4.0  # Å


@dataclass(frozen=True, kw_only=True)
class DenseBatch(FullBatch):
    """`density`: [B] atoms per Å³."""

    density: Tensor


@dataclass(frozen=True)
class DenseGraphs(FullGraphs):
    """Full graphs, and one number more of each crystal."""

    density: Annotated[np.ndarray, column(Scope.CRYSTAL, "float64")]

    @classmethod
    def batch(cls, taken: Taken) -> DenseBatch:
        return DenseBatch(**vars(super().batch(taken)), density=taken["density"])


@dataclass(frozen=True, kw_only=True)
class DenseGraph(FullGraph):
    """The full graph with the number density of the crystal."""

    columns: ClassVar[type[Columns]] = DenseGraphs

    def build(self, neighbours: Neighbours) -> DenseGraphs:
        volume = np.abs(np.linalg.det(neighbours.lattice))
        density = np.diff(neighbours.node_ptr) / volume
        return DenseGraphs(**vars(super().build(neighbours)), density=density)


class Layer(nn.Module):
    """Scalars and vectors of the neighbours, weighed by their distance and direction.

    After Schütt et al. 2021, doi:10.48550/arXiv.2102.03150, without its divisions by norms.
    """

    def __init__(self, width: int, basis: int) -> None:
        super().__init__()
        self.filters = nn.Linear(basis, 3 * width)
        self.send = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width, bias=False)
        self.update = nn.Linear(2 * width, width)

    def forward(
        self, x_na: Tensor, v_na3: Tensor, basis_eg: Tensor, batch: FullBatch
    ) -> tuple[Tensor, Tensor]:
        sent = self.send(x_na)[batch.src] * self.filters(basis_eg)
        x_ea, along_ea, kept_ea = sent.chunk(3, dim=-1)
        unit_e3 = batch.vector / batch.vector.norm(dim=1, keepdim=True)
        v_ea3 = along_ea[..., None] * unit_e3[:, None] + kept_ea[..., None] * v_na3[batch.src]
        x_na = x_na + torch.zeros_like(x_na).index_add(0, batch.dst, x_ea)
        v_na3 = v_na3 + torch.zeros_like(v_na3).index_add(0, batch.dst, v_ea3)
        mixed_na3 = self.mix(v_na3.transpose(1, 2)).transpose(1, 2)
        squared_na = mixed_na3.square().sum(dim=-1)
        return x_na + self.update(torch.cat([x_na, squared_na], dim=-1)).tanh(), v_na3 + mixed_na3


class Network(Backbone):
    """Two layers; a target sees the scalars, a test the vectors too."""

    def __init__(self, dim: int, basis: int = 6) -> None:
        super().__init__()
        self.width = dim
        self.register_buffer("centres", torch.linspace(0.5, CUTOFF, basis), persistent=False)
        self.layers = nn.ModuleList(Layer(dim, basis) for _ in range(2))

    def features(self, elements_zd: Tensor, batch: DenseBatch) -> list[tuple[Tensor, Tensor]]:
        """[N, A] scalars and [N, A, 3] vectors after each layer."""
        x_na = elements_zd[batch.z] * (1 + batch.density[batch.node_crystal, None])
        v_na3 = x_na.new_zeros(*x_na.shape, 3)
        length_e1 = batch.vector.norm(dim=1, keepdim=True)
        fade_e1 = 0.5 + 0.5 * torch.cos(length_e1 * torch.pi / CUTOFF)
        basis_eg = torch.exp(-4 * (length_e1 - self.centres).square()) * fade_e1
        found = []
        for layer in self.layers:
            x_na, v_na3 = layer(x_na, v_na3, basis_eg, batch)
            found.append((x_na, v_na3))
        return found

    def forward(self, elements_zd: Tensor, batch: DenseBatch) -> list[Tensor]:
        return [x_na for x_na, _ in self.features(elements_zd, batch)]


SPEC = BackboneSpec(
    name="equivariant",
    title="Equivariant",
    model="tests.extensions.equivariant:Network",
    stacking="vmap",
    representation=DenseGraph(name="dense-r4", version=1, cutoff=CUTOFF, max_neighbours=None),
    recipes={"tuned": Recipe(name="tuned", optimiser="adamw", lr=3e-3, averaging=0.9)},
    edge_cost=(20.0, 0.2),
    reference="@article{Schutt2021}",
)
