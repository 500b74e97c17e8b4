"""The contrastive model and the regression of its crystal encoder, K models stacked.

Legend: K models, B materials, Z elements, A width of element vectors, D dimensions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, silu

from trainables.elements.descriptor import MAX_Z
from trainables.models.batch_norm import Part
from trainables.models.crystal_encoder import CrystalEncoder
from trainables.models.layers import Generators
from trainables.models.options import ContrastOptions
from trainables.models.potential_encoder import PotentialEncoder
from trainables.models.stacking import Stack
from trainables.representations.graph_batch import SlabBatch

TEMPERATURE, LARGEST_SCALE = 0.07, 100.0  # at first; and of logits, at most


@dataclass(frozen=True)
class Seen:
    """What a model gets of materials.

    Attributes:
        batch: their crystals, with profiles [B, L] in eV as targets.
        part: of the batch that several workers share.
    """

    batch: SlabBatch
    part: Part


class Views(NamedTuple):
    """Embeddings of B materials.

    Attributes:
        features: [B, D] of crystals, before they are projected.
        crystal, profile: [B, D] unit vectors.
    """

    features: Tensor
    crystal: Tensor
    profile: Tensor


class Embedded(NamedTuple):
    """`Views` of K models.

    Attributes:
        features, crystal, profile: [K, B, D].
        scale: [K] by which similarities are multiplied: 1/temperature.
    """

    features: Tensor
    crystal: Tensor
    profile: Tensor
    scale: Tensor


class ContrastiveNetwork(nn.Module):
    """Both encoders of one model, each with a linear projection.

    Args:
        options: of the encoders.
        mean, scale: eV, with which profiles are standardised.
    """

    def __init__(self, options: ContrastOptions, *, mean: float, scale: float) -> None:
        super().__init__()
        self.crystal = CrystalEncoder(options)
        self.profile = PotentialEncoder(options.filters, options.dim, mean=mean, scale=scale)
        self.crystal_head = nn.Linear(options.dim, options.dim)
        self.profile_head = nn.Linear(options.dim, options.dim)

    def forward(self, elements_za: Tensor, seen: Seen) -> Views:
        """Both embeddings of each material."""
        features_bd = self.crystal(elements_za, seen.batch)
        profile_bd = self.profile(seen.batch.target, seen.part)
        return Views(
            features=features_bd,
            crystal=normalize(self.crystal_head(features_bd), dim=-1),
            profile=normalize(self.profile_head(profile_bd), dim=-1),
        )


class WorkFunctionNetwork(nn.Module):
    """The crystal encoder of one model with a two-layer network for the work function.

    Args:
        options: of the encoder.
        mean, scale: eV, of the work functions that it learns from.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, options: ContrastOptions, *, mean: float, scale: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("scale", torch.tensor(scale))
        self.crystal = CrystalEncoder(options)
        self.hidden = nn.Linear(options.dim, options.dim)
        self.out = nn.Linear(options.dim, 1)

    def forward(self, elements_za: Tensor, seen: Seen) -> Tensor:
        """[B] eV."""
        hidden_bd = silu(self.hidden(silu(self.crystal(elements_za, seen.batch))))
        return self.out(hidden_bd).squeeze(-1) * self.scale + self.mean


class ElementVectors(nn.Module):
    """Learned vectors of the elements, from N(0, 1), [K, Z, A]."""

    def __init__(self, generators: Generators, width: int) -> None:
        super().__init__()
        drawn = [torch.randn(MAX_Z + 1, width, generator=one) for one in generators]
        self.vectors = nn.Parameter(torch.stack(drawn))

    def forward(self) -> Tensor:
        """A row an atomic number."""
        return self.vectors


class ContrastiveStack(nn.Module):
    """K contrastive models.

    Args:
        generators: one a model.
        options, mean, scale: of each `ContrastiveNetwork`.
    """

    def __init__(
        self, generators: Generators, options: ContrastOptions, *, mean: float, scale: float
    ) -> None:
        super().__init__()
        self.elements = ElementVectors(generators, options.elements)
        self.network = Stack(
            lambda: ContrastiveNetwork(options, mean=mean, scale=scale), generators
        )
        start = math.log(1 / TEMPERATURE)
        self.log_scale = nn.Parameter(torch.full((len(generators),), start))

    def forward(self, seen: Seen) -> Embedded:
        """Embeddings of all models.

        The scale is 100 at most. The parameter itself is kept below that, or it could not fall
        again.
        """
        with torch.no_grad():
            self.log_scale.clamp_(max=math.log(LARGEST_SCALE))
        views: Views = self.network(self.elements(), seen)
        return Embedded(*views, scale=self.log_scale.exp())


class WorkFunctionStack(nn.Module):
    """K regressions of the work function.

    Args:
        generators, options, mean, scale: as of `ContrastiveStack`; of work functions.
    """

    def __init__(
        self, generators: Generators, options: ContrastOptions, *, mean: float, scale: float
    ) -> None:
        super().__init__()
        self.elements = ElementVectors(generators, options.elements)
        self.network = Stack(
            lambda: WorkFunctionNetwork(options, mean=mean, scale=scale), generators
        )

    def forward(self, seen: Seen) -> Tensor:
        """[K, B] eV."""
        work_kb: Tensor = self.network(self.elements(), seen)
        return work_kb
