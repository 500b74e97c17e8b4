"""Graphs, batches, untrained models and small data sets for tests."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from trainables.crystals.crystal import Crystal
from trainables.models.backbones import BACKBONES
from trainables.models.mixing import Mixing
from trainables.representations.batches import DeviceColumns
from trainables.representations.columns import Columns
from trainables.representations.dataset import Dataset
from trainables.representations.graph import CrystalGraph, Graphs
from trainables.representations.neighbours import find_neighbours
from trainables.representations.orbit_graph import OrbitGraph
from trainables.representations.symmetrise import symmetrise, unsymmetrised
from trainables.testing.crystals import made_up
from trainables.training.fit import build_embedding, build_model


def built(crystals: Sequence[Crystal], kind: CrystalGraph) -> Columns:
    """Crystals as a representation makes them."""
    return kind.build(find_neighbours(crystals, [kind]))


def graphs_of(crystals: Sequence[Crystal], backbone: str) -> Graphs:
    """The graphs of all atoms of which a backbone gets the quotients."""
    kind = BACKBONES[backbone].representation
    return Graphs.full(find_neighbours(crystals, [kind]), kind)


def of_all_atoms(crystals: Sequence[Crystal], kind: CrystalGraph) -> Columns:
    """The graphs of all atoms that a representation, which merges some, stands for."""
    if isinstance(kind, OrbitGraph):
        whole = [unsymmetrised(symmetrise(one).crystal) for one in crystals]
        return kind.of(whole, find_neighbours)
    return Graphs.full(find_neighbours(crystals, [kind]), kind)


def batch_of(graphs: Columns, dtype: torch.dtype = torch.float64) -> Any:
    """All crystals as one batch, with different targets."""
    target = np.linspace(-1, 1, len(graphs))
    return DeviceColumns.load(graphs, target, dtype=dtype).take(torch.arange(len(graphs)))


def model_of(
    backbone: str,
    mixings: Sequence[str] = ("0",),
    *,
    dim: int = 8,
    dtype: torch.dtype = torch.float64,
) -> nn.Module:
    """A stacked, untrained model; each member has its own initial weights."""
    generators = [torch.Generator().manual_seed(100 + k) for k in range(len(mixings))]
    embedding = build_embedding(generators, [Mixing(label) for label in mixings], dim)
    return build_model(backbone, generators, embedding).to(dtype)


@cache
def made_up_dataset(backbone: str, crystals: int) -> Dataset:
    """`dataset_of` the `made_up` crystals."""
    return dataset_of(backbone, made_up(crystals))


def dataset_of(backbone: str, crystals: Sequence[Crystal]) -> Dataset:
    """Crystals as a backbone gets them, with a target that a network can learn."""
    target = [
        10 + c.numbers.mean() / 5 - abs(np.linalg.det(c.lattice)) / len(c.numbers) / 4
        for c in crystals
    ]
    return Dataset(
        graphs=built(crystals, BACKBONES[backbone].representation),
        target=np.array(target),
        ids=np.array([f"made-{index}" for index in range(len(crystals))]),
        rows=np.arange(len(crystals)),
        total=len(crystals),
    )
