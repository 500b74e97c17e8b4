"""A representation of another package: the full graph, and a column of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from torch import Tensor

from trainables.representations.columns import Columns, Scope, column
from trainables.representations.full_graph import FullGraph, FullGraphs
from trainables.representations.graph import Neighbours
from trainables.representations.graph_batch import FullBatch, Taken


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
