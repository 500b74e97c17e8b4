"""A small backbone on full graphs, whose nodes are atoms: for targets of sites."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from trainables.models.backbones import BACKBONES, BackboneSpec
from trainables.models.options import NetworkOptions
from trainables.models.stacking import Backbone
from trainables.representations.full_graph import FullGraph
from trainables.representations.graph import FEATURISER_VERSION
from trainables.representations.graph_batch import FullBatch


class Atoms(Backbone):
    """Two sums over neighbours that fade with the distance."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.width = dim
        self.own, self.other = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, elements_zd: Tensor, batch: FullBatch) -> list[Tensor]:  # type: ignore[override]
        x_na = elements_zd[batch.z]
        fade_e = torch.exp(-batch.vector.norm(dim=1))
        layers = []
        for _ in range(2):
            message_na = torch.zeros_like(x_na).index_add(
                0, batch.dst, self.other(x_na)[batch.src] * fade_e[:, None]
            )
            x_na = (self.own(x_na) + message_na).tanh()
            layers.append(x_na)
        return layers


SPEC: BackboneSpec = dataclasses.replace(
    BACKBONES["schnet"],
    name="atoms",
    title="Atoms",
    model=f"{__name__}:Atoms",
    options=NetworkOptions,
    representation=FullGraph(
        name="full-r4", version=FEATURISER_VERSION, cutoff=4.0, max_neighbours=None
    ),
)
