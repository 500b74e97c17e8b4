"""CrabNet (Wang et al. 2021, doi:10.1038/s41524-021-00545-1): a transformer over a formula.

Legend: K models, B compositions, M elements of all of them, P places of the longest, Z = 119 rows
by atomic number, F columns of a table, D width, H heads, d = D/H.

The published code pads every formula to the longest of the data set and computes all places. Here
the layers within one element (the dense layers are four fifths of the work) are computed for the M
existing elements only; places occur in the products of the attention only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainables.models.layers import Generators, Linear, uniform
from trainables.models.options import CrabNetOptions

PUBLISHED = CrabNetOptions()
DROPOUT = 0.1
RESOLUTION, BASE = 5000, 50.0


@dataclass(frozen=True)
class CompositionBatch:
    """B compositions, of which M elements in all.

    Attributes:
        compositions, places: B and P.
        z: [M] int64 atomic numbers.
        fraction: [M] shares of the atoms.
        owner: [M] int64 composition of each element.
        place: [M] int64, owner · P + its number in the composition.
        filled: [B, P] bool, which places hold an element.
        rows: [B] int64 rows of the data set, on the host.
        noise: the source of dropout's random numbers; None in evaluation.
    """

    compositions: int
    places: int
    z: Tensor
    fraction: Tensor
    owner: Tensor
    place: Tensor
    filled: Tensor
    rows: Tensor
    noise: Noise | None = None


@dataclass(frozen=True)
class Noise:
    """Random numbers of a batch, the same for all models of an array.

    They are drawn for all compositions of a batch, whether some model trains on them or not, so
    that a model gets the same ones in any array.

    Attributes:
        generator: on the device.
        compositions, elements: the numbers that are drawn for.
        rows, tokens: [B] and [M] int64, those that are kept.
    """

    generator: torch.Generator
    compositions: int
    elements: int
    rows: Tensor
    tokens: Tensor

    def of_elements(self, width: int, dtype: torch.dtype) -> Tensor:
        """[M, width] factors, 0 or 1 / (1 − dropout)."""
        return _kept((self.elements, width), self.generator, dtype)[self.tokens]

    def of_pairs(self, heads: int, places: int, dtype: torch.dtype) -> Tensor:
        """[B, heads, P, P] factors."""
        shape = (self.compositions, heads, places, places)
        return _kept(shape, self.generator, dtype)[self.rows]


def _kept(shape: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    drawn = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float32)
    return (drawn >= DROPOUT).to(dtype) / (1 - DROPOUT)


class LayerNorm(nn.Module):
    """Layer normalisation of [K, M, D], with weights of each model's own."""

    eps = 1e-5

    def __init__(self, models: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(models, 1, width))
        self.bias = nn.Parameter(torch.zeros(models, 1, width))

    def forward(self, x_kmd: Tensor) -> Tensor:
        """(x − mean)/√(var + eps)·gain + bias, with statistics over the width, [K, M, D]."""
        normal_kmd = nn.functional.layer_norm(x_kmd, x_kmd.shape[-1:], eps=self.eps)
        return torch.addcmul(self.bias, normal_kmd, self.weight)


class EncoderLayer(nn.Module):
    """Attention between the elements of a formula, then a dense network; norms after the sums.

    Like torch.nn.TransformerEncoderLayer with its defaults (Vaswani et al. 2017, arXiv:1706.03762).
    """

    def __init__(self, generators: Generators, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        bound = math.sqrt(6 / (4 * width))  # Glorot's, of the three projections as one
        self.project = nn.Parameter(uniform(generators, (width, 3 * width), bound))
        self.project_bias = nn.Parameter(torch.zeros(len(generators), 1, 3 * width))
        self.join = Linear(generators, width, width)
        assert self.join.bias is not None
        nn.init.zeros_(self.join.bias)
        self.first = Linear(generators, width, hidden)
        self.second = Linear(generators, hidden, width)
        self.norm_1 = LayerNorm(len(generators), width)
        self.norm_2 = LayerNorm(len(generators), width)

    def _attend(self, x_kmd: Tensor, batch: CompositionBatch) -> Tensor:
        """[K, M, D]: what each element receives from those of its formula."""
        models, _, width = x_kmd.shape
        each, places = batch.compositions, batch.places
        projected = torch.baddbmm(self.project_bias, x_kmd, self.project)
        padded = projected.new_zeros(models, each * places, 3 * width)
        padded = padded.index_copy(1, batch.place, projected)
        split = padded.view(models, each, places, 3, self.heads, width // self.heads)
        query, key, value = split.permute(3, 0, 1, 4, 2, 5).unbind(0)  # [K, B, H, P, d]
        score_kbhpp = query @ key.transpose(-1, -2) / math.sqrt(width // self.heads)
        score_kbhpp = score_kbhpp.masked_fill(~batch.filled[:, None, None, :], -math.inf)
        share_kbhpp = torch.softmax(score_kbhpp, dim=-1)
        if batch.noise is not None:
            share_kbhpp = share_kbhpp * batch.noise.of_pairs(self.heads, places, x_kmd.dtype)
        read = (share_kbhpp @ value).transpose(2, 3).reshape(models, each * places, width)
        return self.join(read.index_select(1, batch.place))

    def forward(self, x_kmd: Tensor, batch: CompositionBatch) -> Tensor:
        """New vectors of the elements, [K, M, D]."""
        x_kmd = self.norm_1(x_kmd + _dropped(self._attend(x_kmd, batch), batch))
        hidden = _dropped(torch.relu(self.first(x_kmd)), batch)
        return self.norm_2(x_kmd + _dropped(self.second(hidden), batch))


def _dropped(x_kmd: Tensor, batch: CompositionBatch) -> Tensor:
    if batch.noise is None:
        return x_kmd
    return x_kmd * batch.noise.of_elements(x_kmd.shape[-1], x_kmd.dtype)


class FractionEncoding(nn.Module):
    """Sines and cosines of a share of the atoms, [M] -> [M, D/2].

    Args:
        logarithmic: uses 0.0025 · log2(share)², at most 1, in place of the share, which resolves
            small shares.
    """

    waves: Tensor

    def __init__(self, width: int, *, logarithmic: bool) -> None:
        super().__init__()
        half = width // 2
        step = torch.arange(RESOLUTION).double()[:, None]
        column = torch.arange(half).double()
        angle = step / BASE ** (2 * column / half)
        waves = torch.where(column.long() % 2 == 0, torch.sin(angle), torch.cos(angle))
        self.register_buffer("waves", waves.to(torch.get_default_dtype()), persistent=False)
        self.logarithmic = logarithmic

    def forward(self, fraction_m: Tensor) -> Tensor:
        """Encodes shares above 0 and at most 1, [M, D/2]."""
        x_m = 0.0025 * torch.log2(fraction_m) ** 2 if self.logarithmic else fraction_m
        x_m = x_m.clamp(min=1 / RESOLUTION, max=1)
        return self.waves[torch.round(x_m * RESOLUTION).long() - 1]


class ResidualHead(nn.Module):
    """[K, M, D] -> [K, M, 3], as in Roost (Goodall & Lee 2020, doi:10.1038/s41467-020-19964-7)."""

    def __init__(self, generators: Generators, width: int, widths: Sequence[int]) -> None:
        super().__init__()
        sizes = list(zip([width, *widths], widths, strict=False))
        self.dense = nn.ModuleList(Linear(generators, a, b) for a, b in sizes)
        self.past = nn.ModuleList(Linear(generators, a, b, bias=False) for a, b in sizes)
        self.out = Linear(generators, widths[-1], 3)

    def forward(self, x_kmd: Tensor) -> Tensor:
        """Each element's contribution, its logarithmic error and a logit, [K, M, 3]."""
        for dense, past in zip(self.dense, self.past, strict=True):
            x_kmd = nn.functional.leaky_relu(dense(x_kmd)) + past(x_kmd)
        y_km3: Tensor = self.out(x_kmd)
        return y_km3


class CrabNet(nn.Module):
    """[K, B, 2] prediction and logarithmic scale of its error; for classes a logit.

    Args:
        tables: element vectors of each model, [Z, F]; narrower ones are padded with zeros, which
            does not change outputs or gradients.
        columns: F of the stacked tables, at least that of the widest.
        trainable: whether the tables are trained too.
        options: of the network.
    """

    table: Tensor

    def __init__(
        self,
        generators: Generators,
        tables: Sequence[Tensor],
        *,
        columns: int | None = None,
        trainable: bool = False,
        options: CrabNetOptions = PUBLISHED,
    ) -> None:
        super().__init__()
        own = [table.shape[1] for table in tables]
        total = columns or max(own)
        padded = [nn.functional.pad(table, (0, total - table.shape[1])) for table in tables]
        stacked = torch.stack(padded).to(torch.get_default_dtype())
        if trainable:
            self.table = nn.Parameter(stacked)
        else:
            self.register_buffer("table", stacked)
        models = len(generators)
        width = options.width
        self.enter = _narrow_linear(generators, own, total, width)
        self.scales = nn.ParameterList(nn.Parameter(torch.ones(models, 1, 1)) for _ in range(3))
        self.linear = FractionEncoding(width, logarithmic=False)
        self.logarithmic = FractionEncoding(width, logarithmic=True)
        self.layers = nn.ModuleList(
            EncoderLayer(generators, width, options.heads, options.hidden)
            for _ in range(options.layers)
        )
        self.head = ResidualHead(generators, width, options.head_widths)

    def _entered(self, batch: CompositionBatch) -> Tensor:
        """[K, M, D] element vectors, with the encoded shares added."""
        of_elements, of_shares, of_small = self.scales
        vectors_kzd: Tensor = self.enter(self.table) * 2**of_elements
        shares_kmd = torch.cat(
            [
                self.linear(batch.fraction) * 2 ** ((1 - of_shares) ** 2),
                self.logarithmic(batch.fraction) * 2 ** ((1 - of_small) ** 2),
            ],
            dim=-1,
        )
        return vectors_kzd.index_select(1, batch.z) + shares_kmd

    def forward(self, batch: CompositionBatch) -> Tensor:
        """Standardised prediction (or logit) and logarithmic scale of its error, [K, B, 2]."""
        x_kmd = self._entered(batch)
        for layer in self.layers:
            x_kmd = layer(x_kmd, batch)
        raw_km3 = self.head(x_kmd)
        count_b1 = batch.filled.sum(dim=1, keepdim=True).to(raw_km3.dtype)
        total_kb3 = raw_km3.new_zeros(len(raw_km3), batch.compositions, 3)
        mean_kb3 = total_kb3.index_add(1, batch.owner, raw_km3) / count_b1
        prediction_kb, scale_kb, logit_kb = mean_kb3.unbind(-1)
        return torch.stack([prediction_kb * torch.sigmoid(logit_kb), scale_kb], dim=-1)


def _narrow_linear(
    generators: Generators, columns: Sequence[int], total: int, width: int
) -> Linear:
    """A linear layer initialised for each model as one with its own number of columns.

    Each model draws from a child of its generator, whose later draws so do not depend on the
    columns.
    """
    layer = Linear([torch.Generator() for _ in generators], total, width)
    assert layer.bias is not None
    layer.weight.data.zero_()
    for k, (generator, own) in enumerate(zip(generators, columns, strict=True)):
        child = int(torch.randint(2**62, (1,), generator=generator))
        alone = Linear([torch.Generator().manual_seed(child)], own, width)
        assert alone.bias is not None
        layer.weight.data[k, :own] = alone.weight.data[0]
        layer.bias.data[k] = alone.bias.data[0]
    return layer
