"""Layers of one model, for plain networks; those of K models side by side are in `layers.py`.

Legend: R rows, S segments of rows, C heads.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainables.kernels.ops import gather, scatter_sum

LOUDEST = 10.0


class Dense(nn.Linear):
    """A linear layer that starts as Keras' Dense; torch's own start shrinks a signal by √3."""

    def reset_parameters(self) -> None:
        """Weights from U(−b, b) with b² = 6/(inputs + outputs), biases 0."""
        nn.init.xavier_uniform_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


def bounded(logit: Tensor) -> Tensor:
    """Logits within ±LOUDEST, smoothly."""
    return LOUDEST * torch.tanh(logit / LOUDEST)


def shares(logit_rc: Tensor, segment_r: Tensor, size: int, weight_r: Tensor) -> Tensor:
    """[R, C] softmax over the rows of each segment, a row counted `weight` times.

    The weighted sum over a segment is 1. Logits stay within ±LOUDEST, smoothly, so that no power
    of e overflows.

    Args:
        segment_r: int64.
        size: S.
    """
    loud_rc = torch.exp(bounded(logit_rc))
    return loud_rc / gather(scatter_sum(loud_rc, segment_r, size, weight_r), segment_r)
