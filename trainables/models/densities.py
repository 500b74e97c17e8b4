"""Networks of densities of states: K models, each a curve for every node.

Legend: K models, B crystals, N nodes, Z elements, A node width, L energies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from trainables.elements import handcrafted
from trainables.models.embedding import HybridEmbedding
from trainables.models.layers import Generators
from trainables.models.mixing import Mixing
from trainables.models.se3_transformer import TYPES, SE3Transformer
from trainables.models.stacking import Backbone, Stack
from trainables.representations.graph_batch import Batch

SHARPNESS = 20.0  # of the softplus that keeps densities above 0: it is linear from 0.2 on


class DensityHead(nn.Module):
    """The density of a node by a two-layer network, above 0.

    Args:
        width: A.
        hidden: numbers between the layers.
        points: L.
    """

    def __init__(self, width: int, hidden: int, points: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, hidden)
        self.out = nn.Linear(hidden, points)

    def forward(self, nodes_na: Tensor) -> Tensor:
        """[N, L]."""
        return softplus(self.out(silu(self.hidden(nodes_na))), beta=SHARPNESS)


class NodeDensities(nn.Module):
    """A plain backbone with a `DensityHead`.

    Args:
        backbone: of one model.
        hidden, points: as of the head.
    """

    def __init__(self, backbone: nn.Module, hidden: int, points: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = DensityHead(cast(Backbone, backbone).width, hidden, points)

    def forward(self, elements_zd: Tensor, batch: Batch) -> Tensor:
        """[N, L]."""
        layers: list[Tensor] = self.backbone(elements_zd, batch)
        density_nl: Tensor = self.head(layers[-1])
        return density_nl


class OneHot(nn.Module):
    """Elements as unit vectors of 118 numbers, the same for all models."""

    def __init__(self, models: int) -> None:
        super().__init__()
        rows = torch.eye(TYPES + 1)[:, 1:].repeat(models, 1, 1)
        self.register_buffer("rows", rows, persistent=False)

    def forward(self) -> Tensor:
        """[K, 119, 118]."""
        return cast(Tensor, self.rows)


class DensityStack(nn.Module):
    """K networks of densities, behind the vectors of their elements.

    Args:
        elements: gives them, [K, 119, D].
        network: the K networks, stacked.
    """

    def __init__(self, elements: nn.Module, network: Stack) -> None:
        super().__init__()
        self.elements, self.network = elements, network

    def forward(self, batch: Batch) -> Tensor:
        """Densities of nodes [K, N, L]."""
        density_knl: Tensor = self.network(self.elements(), batch)
        return density_knl


def published(generators: Generators, *, points: int, width: int) -> DensityStack:
    """The SE(3)-transformers of recipe "paper"."""
    stack = Stack(lambda: SE3Transformer(points, width), generators)
    return DensityStack(OneHot(len(generators)), stack)


def own(
    generators: Generators,
    backbone: Callable[[int], nn.Module],
    *,
    points: int,
    dim: int,
    hidden: int,
    start: Sequence[np.ndarray],
) -> DensityStack:
    """The networks of recipe "tuned".

    Args:
        backbone: makes one, of the embedding's dimension.
        dim: D.
        hidden: of the head.
        start: [L] for each model, what it predicts of any atom before it is trained.
    """
    columns = torch.from_numpy(handcrafted.table_of(handcrafted.CGCNN92))
    embedding = HybridEmbedding(generators, [Mixing("H")] * len(generators), columns, dim)
    stack = Stack(lambda: NodeDensities(backbone(dim), hidden, points), generators)
    out = cast(NodeDensities, stack.module).head.out
    bias_kl = torch.from_numpy(np.stack(start)).to(out.bias)
    # the inverse of the softplus; what is 0 starts where the gradient is not yet 0
    out.bias.data = torch.log(torch.expm1(SHARPNESS * bias_kl.clamp(min=1e-3))) / SHARPNESS
    out.weight.data = out.weight.data / math.sqrt(hidden)
    return DensityStack(embedding, stack)


def of_crystals(density_knl: Tensor, batch: Batch) -> Tensor:
    """[K, B, L] means over the atoms of each crystal."""
    weight_n1 = batch.multiplicity[:, None]
    shape = len(density_knl), batch.crystals, density_knl.shape[2]
    total_kbl = density_knl.new_zeros(shape).index_add(
        1, batch.node_crystal, density_knl * weight_n1
    )
    atoms_b = weight_n1.new_zeros(batch.crystals).index_add(
        0, batch.node_crystal, batch.multiplicity
    )
    return total_kbl / atoms_b[:, None]
