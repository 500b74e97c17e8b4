"""Batch normalisation of one model whose batch several workers share.

Legend: W workers, R rows of a worker, F channels, T points.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainables.models.gathering import Group, gathered


@dataclass(frozen=True)
class Part:
    """A worker's part of a batch.

    Attributes:
        counted: whether the worker's rows count; else it has one that only keeps it busy.
        rows: of each worker, that count.
        group: the workers.
    """

    counted: bool
    rows: tuple[int, ...]
    group: Group


class BatchNorm(nn.Module):
    """torch.nn.BatchNorm1d of x [R, F, T] over the rows of all workers, running statistics too.

    Ioffe & Szegedy 2015, arXiv:1502.03167. Workers tell each other means and variances, from which
    those of the whole batch follow (Chan et al. 1983, doi:10.1080/00031305.1983.10483115).

    Args:
        channels: F.
    """

    eps, momentum = 1e-5, 0.1
    mean: Tensor
    var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("var", torch.ones(channels))

    def forward(self, x_rft: Tensor, part: Part) -> Tensor:
        """(x − mean)/√(var + eps)·weight + bias; of the running statistics in evaluation."""
        mean_f, var_f = self._statistics(x_rft, part) if self.training else (self.mean, self.var)
        gain_f = self.weight * torch.rsqrt(var_f + self.eps)
        return torch.addcmul(self.bias[:, None], x_rft - mean_f[:, None], gain_f[:, None])

    def _statistics(self, x_rft: Tensor, part: Part) -> tuple[Tensor, Tensor]:
        var_f, mean_f = torch.var_mean(x_rft, dim=(0, 2), correction=0)
        if part.group.size > 1:
            told_wsf = gathered(torch.stack([mean_f, var_f]) * part.counted, part.group)
            rows_w = torch.tensor(part.rows, dtype=x_rft.dtype, device=x_rft.device)
            share_w1 = (rows_w / rows_w.sum())[:, None]
            means_wf, vars_wf = told_wsf[:, 0], told_wsf[:, 1]
            mean_f = (share_w1 * means_wf).sum(dim=0)
            var_f = (share_w1 * (vars_wf + (means_wf - mean_f).square())).sum(dim=0)
        # of each row of a batch there may be several views
        views = len(x_rft) // max(1, part.rows[part.group.rank])
        self._remember(mean_f, var_f, views * sum(part.rows) * x_rft.shape[-1])
        return mean_f, var_f

    @torch.no_grad()
    def _remember(self, mean_f: Tensor, var_f: Tensor, count: int) -> None:
        unbiased_f = var_f.detach() * (count / max(1, count - 1))
        for running, new in ((self.mean, mean_f.detach()), (self.var, unbiased_f)):
            # in two operations: vmap has no rule for `lerp_` with a number
            running.mul_(1 - self.momentum).add_(self.momentum * new)
