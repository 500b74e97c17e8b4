"""Angles between the two channels before any training: what high dimensions alone do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from analysis.geometry.angles import angles
from trainables.elements import descriptor
from trainables.models.embedding import HybridEmbedding, Mixing

MODELS = 50


def untrained_angles(dims: Sequence[int], numbers: np.ndarray, seed: int) -> dict[int, np.ndarray]:
    """By dimension: mean and variance (deg²) of the angle over the elements [50, 2]."""
    table = torch.from_numpy(descriptor.load())
    found = {}
    for dim in dims:
        generators = [torch.Generator().manual_seed(seed + model) for model in range(MODELS)]
        embedding = HybridEmbedding(generators, [Mixing("0")] * MODELS, table, dim)
        with torch.no_grad():
            h, l = (channel.double().numpy()[:, numbers] for channel in embedding.channels())  # noqa: E741
        turned = np.stack([angles(*pair) for pair in zip(h, l, strict=True)])
        found[dim] = np.stack([turned.mean(axis=1), turned.var(axis=1)], axis=1)
    return found
