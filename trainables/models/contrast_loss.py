"""The symmetric cross-entropy of a batch that several workers share.

Legend: K models, N pairs of the whole batch, B pairs of a worker, D dimensions, L points.

Radford et al. 2021, arXiv:2103.00020: each profile has to find its crystal among all of the batch,
and each crystal its profile. Every worker sees the embeddings of all, and adds up the losses of its
own pairs, so that what the workers have adds up to what one would have.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trainables.models.gathering import Group, summed


def whole_batch(own_kbd: Tensor, places_b: Tensor, total: int, group: Group) -> Tensor:
    """[K, N, D] rows of all workers.

    Args:
        places_b: int64, of the worker's rows in the whole batch.
        total: N.
    """
    if group.size == 1:
        return own_kbd
    zero_knd = own_kbd.new_zeros(len(own_kbd), total, own_kbd.shape[-1])
    return summed(zero_knd.index_copy(1, places_b, own_kbd), group)


def pair_losses(
    crystal_knd: Tensor,
    profile_knd: Tensor,
    scale_k: Tensor,
    own_b: Tensor,
    masked_nn: Tensor | None = None,
) -> Tensor:
    """[K, B] losses of some pairs: the mean of the cross-entropies of both directions.

    Args:
        crystal_knd, profile_knd: unit vectors of all pairs of the batch.
        scale_k: 1/temperature.
        own_b: int64, the pairs.
        masked_nn: bool, symmetric, which others are left out as wrong answers.
    """
    scale_k11 = scale_k[:, None, None]
    found = []
    for one, other in ((crystal_knd, profile_knd), (profile_knd, crystal_knd)):
        logit_kbn = scale_k11 * one[:, own_b] @ other.transpose(1, 2)
        right_kb = logit_kbn.gather(2, own_b.expand(len(one), -1)[:, :, None]).squeeze(2)
        if masked_nn is not None:
            logit_kbn = logit_kbn.masked_fill(masked_nn[own_b], -math.inf)
        found.append(torch.logsumexp(logit_kbn, dim=2) - right_kb)
    return (found[0] + found[1]) / 2


def near_pairs(profile_nl: Tensor, distance: float) -> Tensor:
    """[N, N] bool, pairs of different materials whose profiles are nearly the same.

    Root mean square over the grid, the smaller one of a profile as it is and reversed.

    Args:
        profile_nl: eV.
        distance: eV, below which they are.
    """
    one_nl = profile_nl.double() / math.sqrt(profile_nl.shape[-1])
    apart_nn = torch.minimum(_distances(one_nl, one_nl), _distances(one_nl, one_nl.flip(-1)))
    return (apart_nn < distance) & ~torch.eye(len(one_nl), dtype=torch.bool, device=one_nl.device)


def _distances(one_nl: Tensor, other_nl: Tensor) -> Tensor:
    """[N, N], not by a product, which rounds small ones to zero."""
    return torch.cdist(one_nl, other_nl, compute_mode="donot_use_mm_for_euclid_dist")
