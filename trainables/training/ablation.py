"""What a trained model owes to each channel of its element vectors: its test error without it.

Legend: K models, Z = 119 rows by atomic number.

The vectors of one channel are replaced in the trained model by their mean, so that this channel
tells no element from another, or are given to other elements, so that it tells them apart wrongly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from trainables.models.embedding import CHANNELS, HybridEmbedding


def errors_without(
    embedding: HybridEmbedding, error: Callable[[], float], seen: Tensor, seed: int
) -> dict[str, float]:
    """Errors of a model with the vectors of one channel averaged, and permuted.

    Args:
        embedding: the model's.
        error: evaluates the model as it is.
        seen: atomic numbers of the elements in the training part; others keep their vectors.
        seed: of the permutation.

    Returns:
        By name: h_mean_error, h_permuted_error, l_mean_error, l_permuted_error.
    """
    found: dict[str, float] = {}
    rows = len(embedding.descriptor)
    for channel in CHANNELS:
        for how, weights_zz in replacements(rows, seen, seed):
            with embedding.replaced(channel, weights_zz):
                found[f"{channel}_{how}_error"] = error()
    return found


def replacements(rows: int, seen: Tensor, seed: int) -> Iterator[tuple[str, Tensor]]:
    """By name, weights [Z, Z] of all vectors in the one that an element gets instead."""
    mean_zz = torch.eye(rows)
    mean_zz[seen] = 0
    mean_zz[seen[:, None], seen] = 1 / len(seen)
    yield "mean", mean_zz
    # one cycle through all of them, so that no element keeps its own
    order = seen[torch.randperm(len(seen), generator=torch.Generator().manual_seed(seed))]
    permuted_zz = torch.eye(rows)
    permuted_zz[order] = 0
    permuted_zz[order, order.roll(1)] = 1
    yield "permuted", permuted_zz
