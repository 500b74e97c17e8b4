"""Layers of K models side by side, over weighted graphs.

Legend: K models, B crystals, N nodes, E edges, L distinct bond lengths, D and F feature dimensions,
G Gaussians, S rows of a sum.

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
    """[K, *shape] drawn from U(-bound, bound), each model with its own generator."""
    return torch.stack([(torch.rand(shape, generator=g) * 2 - 1) * bound for g in generators])


class Linear(nn.Module):
    """x [K, N, D] -> [K, N, F]; initialised as torch.nn.Linear. A shared x [N, D] is broadcast."""

    def __init__(self, generators: Generators, d_in: int, d_out: int, bias: bool = True) -> None:
        super().__init__()
        bound = 1 / math.sqrt(d_in)
        self.weight = nn.Parameter(uniform(generators, (d_in, d_out), bound))
        self.bias = nn.Parameter(uniform(generators, (1, d_out), bound)) if bias else None

    def product(self, x_knd: Tensor) -> Tensor:
        """x W without the bias, [K, N, D] or [N, D] -> [K, N, F]."""
        return torch.bmm(x_knd.expand(len(self.weight), *x_knd.shape[-2:]), self.weight)

    def forward(self, x_knd: Tensor) -> Tensor:
        """x W + b, [K, N, D] or [N, D] -> [K, N, F]."""
        return self.product(x_knd) if self.bias is None else self.product(x_knd) + self.bias


class GlorotLinear(Linear):
    """A `Linear` initialised as Keras' Dense, which the published MEGNet uses.

    Weights from U(−b, b) with b² = 6/(D + F), biases 0 (Glorot & Bengio 2010,
    https://proceedings.mlr.press/v9/glorot10a.html). Torch's own initialisation shrinks a signal by
    √3 per layer, which over MEGNet's dozen layers leaves an untrained network all but constant.
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

    def forward(self, x_knf: Tensor, weight_n: Tensor) -> Tensor:
        """(x − mean)/√(var + eps)·gain + bias, [K, N, F].

        Training uses the batch's statistics and updates the running ones; evaluation uses those.

        Args:
            weight_n: how often each row counts.
        """
        if not self.training:
            gain_k1f = self.weight * torch.rsqrt(self.var + self.eps)
            return (x_knf - self.mean) * gain_k1f + self.bias
        if not x_knf.shape[1]:  # a batch without edges: nothing to normalise or to remember
            return x_knf
        share_k1n = (weight_n / weight_n.sum()).expand(len(x_knf), 1, -1)
        mean_k1f = torch.bmm(share_k1n, x_knf)
        centred_knf = x_knf - mean_k1f
        var_k1f = torch.bmm(share_k1n, centred_knf.square())
        self.remember(mean_k1f, var_k1f, weight_n)
        return centred_knf * (self.weight * torch.rsqrt(var_k1f + self.eps)) + self.bias

    @torch.no_grad()
    def remember(self, mean_k1f: Tensor, var_k1f: Tensor, weight_n: Tensor) -> None:
        """Updates the running statistics with a batch's."""
        total = weight_n.sum()
        self.mean.lerp_(mean_k1f, self.momentum)
        self.var.lerp_(var_k1f * (total / (total - 1).clamp(min=1)), self.momentum)


def scatter_mean(x_ked: Tensor, index_e: Tensor, size: int, weight_e: Tensor) -> Tensor:
    """The weighted mean of the rows that share an index, [K, S, D]; 0 without rows.

    Args:
        index_e: int64.
        size: S.
    """
    total_s = weight_e.new_zeros(size).index_add(0, index_e, weight_e)
    return scatter_sum(x_ked, index_e, size, weight_e / total_s.clamp(min=1e-30)[index_e])


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

    def forward(self, x_knd: Tensor, weight_n: Tensor, crystal_n: Tensor, size: int) -> Tensor:
        """Query and what it read, side by side, [K, B, 2D] (eqs 3–7).

        Args:
            weight_n: atoms or bonds that a row stands for.
            crystal_n: int64, the crystal of each row.
            size: B.
        """
        models = len(x_knd)
        hidden_kbd = x_knd.new_zeros(models, size, self.d)
        cell_kbd = torch.zeros_like(hidden_kbd)
        pooled = x_knd.new_zeros(models, size, 2 * self.d)
        for _ in range(self.iterations):
            gates = torch.baddbmm(self.bias, pooled, self.input)
            gates = gates + torch.bmm(hidden_kbd, self.hidden)
            take, forget, value, show = gates.chunk(4, dim=-1)
            cell_kbd = torch.sigmoid(forget) * cell_kbd + torch.sigmoid(take) * torch.tanh(value)
            hidden_kbd = torch.sigmoid(show) * torch.tanh(cell_kbd)
            read_kbd = attention_pool(x_knd, hidden_kbd, weight_n, crystal_n)
            pooled = torch.cat([hidden_kbd, read_kbd], dim=-1)
        # The query alone would depend on the weights and not on the crystal.
        filled_b = x_knd.new_zeros(size).index_fill(0, crystal_n, 1.0)
        return pooled * filled_b[:, None]


class GaussianBasis(nn.Module):
    """exp(−(d − μ)²/s²) of distances in Å, [L] -> [L, G]; the same for every model.

    Values below e⁻⁶⁰ are set to 0: they change no sum in single or double precision, but most would
    be denormal numbers, with which processors multiply a hundred times slower.

    Args:
        start, stop: the first and the last μ in Å, evenly spaced between.
        centres: G.
        scale: s in Å.
    """

    centres: Tensor

    def __init__(self, start: float, stop: float, centres: int, scale: float) -> None:
        super().__init__()
        self.register_buffer("centres", torch.linspace(start, stop, centres), persistent=False)
        self.scale = scale

    def forward(self, distance_l: Tensor) -> Tensor:
        """Expands distances in Å, [L, G]."""
        square_lg = ((distance_l[:, None] - self.centres) / self.scale) ** 2
        return torch.where(square_lg < 60, torch.exp(-square_lg.clamp(max=60)), 0)
