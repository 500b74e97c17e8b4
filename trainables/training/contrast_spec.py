"""Specifications and recipes of the contrastive model and of its encoder alone. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from trainables.crystals.potentials import Grid
from trainables.models import cutoffs
from trainables.models.options import ContrastOptions
from trainables.models.recipe import Recipe, RecipeName
from trainables.representations.graph import FEATURISER_VERSION
from trainables.representations.pairs import Rule
from trainables.representations.slab_graph import SlabGraph
from trainables.training.specification import MembersSpec, Specification

# Raised whenever trained models differ in more than rounding; part of their keys.
CONTRAST_VERSION = 2
NEAR = 0.05  # eV root mean square, below which two profiles of a batch are counted as duplicates
Learns = Literal["pairs", "work_function"]


@dataclass(frozen=True, kw_only=True)
class ContrastSpec(Specification):
    """A contrastive model, or the regression of its crystal encoder; its `fold` is 0.

    Attributes:
        options: of the networks.
        grid: of the profiles.
        learns: "pairs", or "work_function" for an end-to-end regression of the crystal encoder.
        rule, split_seed: by which materials test, validate and learn (`pair_split`).
        size: materials that it learns from; None for all.
        member: of an ensemble, whose members differ in their initial weights.
        mask: eV root mean square; in the loss of a pair, others of the batch whose profiles are
            nearer do not count as wrong. None for the published loss.
        precision: bits of a float.
    """

    options: ContrastOptions
    grid: Grid
    learns: Learns = "pairs"
    rule: Rule = "formula"
    split_seed: int = 42
    size: int | None = None
    member: int = 0
    mask: float | None = None
    precision: int = 32

    @classmethod
    def _classes(cls, found: Mapping[str, Any]) -> dict[str, type]:
        return super()._classes(found) | {"representation": SlabGraph}


@dataclass(frozen=True, kw_only=True)
class ContrastMembers(MembersSpec[ContrastSpec]):
    """The members of an ensemble, of the same split and batches."""


def members_of(spec: ContrastSpec, count: int) -> dict[str, ContrastSpec]:
    """The members of an ensemble, by label."""
    return {f"member {one}": replace(spec, member=one) for one in range(count)}


@dataclass(frozen=True, kw_only=True)
class ContrastNetwork:
    """What a recipe trains.

    Attributes:
        title: for printing.
        options, representation, recipe: as in `ContrastSpec`.
    """

    title: str
    options: ContrastOptions
    representation: SlabGraph
    recipe: Recipe


_SLABS = SlabGraph(
    name="slabs-r8", version=FEATURISER_VERSION, cutoff=cutoffs.SLABS, max_neighbours=None
)
_PAPER = ContrastNetwork(
    title="Contrastive model as published",
    options=ContrastOptions(),
    representation=_SLABS,
    recipe=Recipe(
        name="paper", optimiser="adamw", lr=1e-4, weight_decay=0.01, beta2=0.95,
        schedule="cosine", warmup=0.0, loss="l1", batch_size=64, epochs=1000, patience=1000,
    ),
)  # fmt: skip
_TUNED = ContrastNetwork(
    title="Contrastive model",
    options=ContrastOptions(
        elements=32, mean=True, width=256, hidden=512, channels=64, filters=32, dim=256
    ),
    representation=_SLABS,
    recipe=Recipe(
        name="tuned", optimiser="adamw", lr=1e-3, weight_decay=0.01, schedule="cosine",
        averaging=0.99, loss="l1", batch_size=64, epochs=30, patience=30,
    ),
)  # fmt: skip
NETWORKS: Mapping[RecipeName, ContrastNetwork] = {"paper": _PAPER, "tuned": _TUNED}
