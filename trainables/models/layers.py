"""Layers of K models side by side, over weighted graphs.

Legend: K models, B crystals, N nodes, E edges, D and F feature dimensions.

Weights carry the leading axis K and every product is batched over it, so K small models cost
little more than one. Statistics over nodes and edges are weighted by how many atoms or bonds of
the full crystal a node or edge stands for.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from trainables.kernels.ops import attention_pool, scatter_sum

Generators = list[torch.Generator]


def uniform(generators: Generators, shape: tuple[int, ...], bound: float) -> Tensor:
    """[K, *shape] drawn from U(-bound, bound), each model from a generator of its own."""
    return torch.stack([(torch.rand(shape, generator=g) * 2 - 1) * bound for g in generators])


class Linear(nn.Module):
    """x [K, *, D] -> [K, *, F]; initialised as torch.nn.Linear. A shared x [*, D] is broadcast."""

    def __init__(self, generators: Generators, d_in: int, d_out: int, bias: bool = True) -> None:
        super().__init__()
        bound = 1 / math.sqrt(d_in)
        self.weight = nn.Parameter(uniform(generators, (d_in, d_out), bound))
        self.bias = nn.Parameter(uniform(generators, (1, d_out), bound)) if bias else None

    def product(self, x: Tensor) -> Tensor:
        """Without the bias."""
        return torch.bmm(x.expand(len(self.weight), *x.shape[-2:]), self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.product(x) if self.bias is None else self.product(x) + self.bias


class GlorotLinear(Linear):
    """A `Linear` that starts as Keras' Dense, of which the published MEGNet is made.

    Weights from U(−b, b) with b² = 6/(D + F), biases 0 (Glorot & Bengio 2010,
    https://proceedings.mlr.press/v9/glorot10a.html). Torch's own start shrinks a signal by √3 a
    layer, which over MEGNet's dozen layers leaves an untrained network all but constant.
    """

    def __init__(self, generators: Generators, d_in: int, d_out: int) -> None:
        super().__init__(generators, d_in, d_out, bias=False)
        scale = math.sqrt(6 / (d_in + d_out)) * math.sqrt(d_in)
        self.weight.data *= scale
        self.bias = nn.Parameter(torch.zeros(len(generators), 1, d_out))

    def affine(self) -> tuple[Tensor, Tensor]:
        """Weight [K, D, F] and bias [K, 1, F]."""
        assert self.bias is not None
        return self.weight, self.bias


class BatchNorm(nn.Module):
    """Batch normalisation of x [K, N, F] whose row i counts `weight[i]` times.

    Equals torch.nn.BatchNorm1d on the rows written out that often
    (Ioffe & Szegedy 2015, arXiv:1502.03167), running statistics included.
    """

    eps = 1e-5
    momentum = 0.1
    mean: Tensor
    var: Tensor

    def __init__(self, models: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(models, 1, features))
        self.bias = nn.Parameter(torch.zeros(models, 1, features))
        self.register_buffer("mean", torch.zeros(models, 1, features))
        self.register_buffer("var", torch.ones(models, 1, features))

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        if not self.training:
            return (x - self.mean) * (self.weight * torch.rsqrt(self.var + self.eps)) + self.bias
        if not x.shape[1]:  # a batch without edges: nothing seen, nothing to remember
            return x
        share = (weight / weight.sum()).expand(len(x), 1, -1)
        mean = torch.bmm(share, x)
        centred = x - mean
        var = torch.bmm(share, centred.square())
        self.remember(mean, var, weight)
        return centred * (self.weight * torch.rsqrt(var + self.eps)) + self.bias

    @torch.no_grad()
    def remember(self, mean: Tensor, var: Tensor, weight: Tensor) -> None:
        """Takes a batch's statistics [K, 1, F] into the running ones."""
        total = weight.sum()
        self.mean.lerp_(mean, self.momentum)
        self.var.lerp_(var * (total / (total - 1).clamp(min=1)), self.momentum)


def scatter_mean(x_ked: Tensor, index: Tensor, size: int, weight: Tensor) -> Tensor:
    """Weighted mean of the rows that share an index; 0 where there is none -> [K, size, D]."""
    total = weight.new_zeros(size).index_add(0, index, weight)
    return scatter_sum(x_ked, index, size, weight / total.clamp(min=1e-30)[index])


class Set2Set(nn.Module):
    """Pooling by attention with a standard LSTM (Vinyals et al. 2016, arXiv:1511.06391).

    x [K, N, D] -> [K, B, 2D]. A row that stands for m atoms counts m times in the softmax; a
    crystal without rows pools to 0.
    """

    def __init__(self, generators: Generators, d: int, iterations: int = 3) -> None:
        super().__init__()
        bound = 1 / math.sqrt(d)
        self.d = d
        self.iterations = iterations
        self.input = nn.Parameter(uniform(generators, (2 * d, 4 * d), bound))
        self.hidden = nn.Parameter(uniform(generators, (d, 4 * d), bound))
        self.bias = nn.Parameter(uniform(generators, (1, 4 * d), bound))

    def forward(self, x: Tensor, weight: Tensor, index: Tensor, size: int) -> Tensor:
        models = len(x)
        hidden = x.new_zeros(models, size, self.d)
        cell = torch.zeros_like(hidden)
        pooled = x.new_zeros(models, size, 2 * self.d)
        for _ in range(self.iterations):
            gates = torch.baddbmm(self.bias, pooled, self.input) + torch.bmm(hidden, self.hidden)
            take, forget, value, show = gates.chunk(4, dim=-1)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(take) * torch.tanh(value)
            hidden = torch.sigmoid(show) * torch.tanh(cell)
            read = attention_pool(x, hidden, weight, index)
            pooled = torch.cat([hidden, read], dim=-1)
        # No rows, no set: the query alone would say something about the weights, not the crystal.
        filled = x.new_zeros(size).index_fill(0, index, 1.0)
        return pooled * filled[:, None]


class GaussianBasis(nn.Module):
    """exp(−(d−μ)²/s²) of distances [L] in Å -> [L, centres]; the same for every model.

    Values below e⁻⁶⁰ are 0: no sum in single or double precision feels them, but most would be
    denormal numbers, with which processors multiply a hundred times slower.
    """

    centres: Tensor

    def __init__(self, start: float, stop: float, centres: int, scale: float) -> None:
        super().__init__()
        self.register_buffer("centres", torch.linspace(start, stop, centres), persistent=False)
        self.scale = scale

    def forward(self, distance: Tensor) -> Tensor:
        square = ((distance[:, None] - self.centres) / self.scale) ** 2
        return torch.where(square < 60, torch.exp(-square.clamp(max=60)), 0)
