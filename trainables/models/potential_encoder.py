"""The encoder of potential profiles of the contrastive model: a ResNet-18 in one dimension.

Legend: B profiles, R = 2B rows, L points, F channels, T points of a layer.

He et al. 2016, doi:10.1109/CVPR.2016.90. A profile and its reverse are one material seen from
either side: the mean of both is embedded. Two vacuum levels remain two.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool1d, relu

from trainables.models.batch_norm import BatchNorm, Part

STAGES, DEPTH = 4, 2  # and blocks of a stage


def convolution(before: int, after: int, size: int, stride: int = 1) -> nn.Conv1d:
    """One that keeps the points, or each second one, and leaves the bias to the norm behind it."""
    made = nn.Conv1d(before, after, size, stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(made.weight, mode="fan_out", nonlinearity="relu")
    return made


class Residual(nn.Module):
    """relu(F(x) + x) of two convolutions, [R, F, T].

    Args:
        before, after: channels; stride: of the first convolution.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = (
            convolution(before, after, 3, stride),
            convolution(after, after, 3),
        )
        self.first_norm, self.second_norm = BatchNorm(after), BatchNorm(after)
        same = before == after and stride == 1
        self.short = None if same else convolution(before, after, 1, stride)
        self.short_norm = None if same else BatchNorm(after)

    def forward(self, x_rft: Tensor, part: Part) -> Tensor:
        """[R, F, T]; where sizes differ, x by a convolution of one point."""
        own = relu(self.first_norm(self.first(x_rft), part))
        own = self.second_norm(self.second(own), part)
        if self.short is not None and self.short_norm is not None:
            x_rft = self.short_norm(self.short(x_rft), part)
        return relu(own + x_rft)


class PotentialEncoder(nn.Module):
    """Embeddings of profiles in eV, the same for a profile and its reverse.

    Args:
        filters: channels of the first stage.
        dim: of the embeddings.
        mean, scale: eV, with which profiles are standardised.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, filters: int, dim: int, *, mean: float, scale: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("scale", torch.tensor(scale))
        self.stem, self.stem_norm = convolution(1, filters, 7, 2), BatchNorm(filters)
        widths = [filters * 2**stage for stage in range(STAGES)]
        blocks, before = [], filters
        for stage, width in enumerate(widths):
            for block in range(DEPTH):
                blocks.append(Residual(before, width, 2 if stage and not block else 1))
                before = width
        self.blocks = nn.ModuleList(blocks)
        self.out = nn.Linear(before, dim)

    def forward(self, profile_bl: Tensor, part: Part) -> Tensor:
        """[B, dim]."""
        both = torch.cat([profile_bl, profile_bl.flip(-1)])
        x_rft = ((both - self.mean) / self.scale)[:, None]
        x_rft = relu(self.stem_norm(self.stem(x_rft), part))
        x_rft = max_pool1d(x_rft, 3, 2, padding=1)
        for block in self.blocks:
            x_rft = block(x_rft, part)
        one_bf, other_bf = x_rft.mean(dim=-1).chunk(2)
        return self.out((one_bf + other_bf) / 2)
