"""A backbone of another package: PyTorch Geometric's CGConv."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.nn import CGConv

from trainables.models.backbones import BACKBONES, BackboneSpec
from trainables.models.recipe import Recipe
from trainables.models.stacking import Backbone
from trainables.representations.graph_batch import GraphBatch


class Counted(CGConv):
    """An edge of a quotient graph stands for several, whose number comes as its last feature."""

    def message(self, x_i: Tensor, x_j: Tensor, edge_attr: Tensor) -> Tensor:
        return super().message(x_i, x_j, edge_attr[:, :-1]) * edge_attr[:, -1:]


class Network(Backbone):
    """Two convolutions with a batch norm each; a distance is the only other feature of an edge."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.width = dim
        self.layers = nn.ModuleList(Counted(dim, dim=1, batch_norm=True) for _ in range(2))

    def forward(self, elements_zd: Tensor, batch: GraphBatch) -> list[Tensor]:
        x_nd, edges = elements_zd[batch.z], torch.stack([batch.src, batch.dst])
        features_e2 = torch.stack([batch.length[batch.edge_length], batch.count], dim=1)
        layers = []
        for layer in self.layers:
            x_nd = layer(x_nd, edges, features_e2)
            layers.append(x_nd)
        return layers


SPEC = BackboneSpec(
    name="cgconv",
    title="CGConv",
    model="tests.extensions.cgconv:Network",
    stacking="vmap",
    representation=BACKBONES["megnet"].representation,
    recipes={"tuned": Recipe(name="tuned", optimiser="adamw", lr=3e-3, averaging=0.9)},
    edge_cost=(5.0, 0.1),
    reference="@article{Xie2018}",
)
