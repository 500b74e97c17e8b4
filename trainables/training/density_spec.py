"""Specifications and recipes of models of densities of states. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from trainables.crystals.densities import Window
from trainables.models import cutoffs
from trainables.models.options import NetworkOptions
from trainables.models.recipe import Recipe, RecipeName
from trainables.representations.graph import FEATURISER_VERSION
from trainables.representations.orbit_graph import OrbitGraph
from trainables.training.specification import MembersSpec, Specification

# Raised whenever trained models differ in more than rounding; part of their keys.
DENSITY_VERSION = 2
SE3_TRANSFORMER = "se3_transformer"


@dataclass(frozen=True, kw_only=True)
class DensityOptions(NetworkOptions):
    """Options of a network of densities.

    Attributes:
        width: of the node features.
        sites: weight of the errors of sites beside those of crystals, in the loss.
        dim, hidden: of the element vectors, and between the layers of the head; not of the
            SE(3)-transformer, nor are those below.
        layers, l_max, edge: convolutions of the equivariant network, its highest order, and what
            an edge knows (`TensorOptions`).
    """

    width: int = 32
    sites: float = 0.0
    dim: int = 16
    hidden: int = 128
    layers: int = 2
    l_max: int = 2
    edge: int = 64


@dataclass(frozen=True, kw_only=True)
class DensitySpec(Specification):
    """A model of densities of states, as `Specification`; `fold` is its test part.

    Attributes:
        network: `SE3_TRANSFORMER`, or the name of a backbone.
        options: of the network.
        window: the energies.
        members, member: parts of which the model holds one back, and which.
        share: of the crystals outside the test part that are used.
        precision: bits of a float.
    """

    network: str
    options: DensityOptions
    window: Window
    members: int
    member: int
    share: float = 1.0
    precision: int = 32

    @classmethod
    def _classes(cls, found: Mapping[str, Any]) -> dict[str, type]:
        return super()._classes(found) | {"representation": OrbitGraph}


@dataclass(frozen=True, kw_only=True)
class EnsembleSpec(MembersSpec[DensitySpec]):
    """The members of a fold."""


def members_of(spec: DensitySpec) -> dict[str, DensitySpec]:
    """All members of an ensemble, by label."""
    return {f"member {one}": replace(spec, member=one) for one in range(spec.members)}


@dataclass(frozen=True, kw_only=True)
class DensityNetwork:
    """What a recipe trains.

    Attributes:
        title: for printing.
        network, options, representation, recipe: as in `DensitySpec`.
    """

    title: str
    network: str
    options: DensityOptions
    representation: OrbitGraph
    recipe: Recipe


# As the code of paper 2 has it, but its 500 epochs of 2 400 batches are here epochs of seven.
_PAPER = DensityNetwork(
    title="SE(3)-transformer",
    network=SE3_TRANSFORMER,
    options=DensityOptions(),
    representation=OrbitGraph(
        name="orbits-r6", version=FEATURISER_VERSION, cutoff=cutoffs.SE3, max_neighbours=None
    ),
    recipe=Recipe(
        name="paper", optimiser="adam", lr=5e-3, schedule="plateau", batch_size=20, epochs=200,
        patience=100,
    ),
)  # fmt: skip
# Chosen on parts held back, of the same crystals; docs/results.md has the comparison.
_TUNED = DensityNetwork(
    title="Equivariant network",
    network="tensor",
    options=DensityOptions(width=64, sites=1.0, l_max=1),
    representation=OrbitGraph(
        name="orbits-r4", version=FEATURISER_VERSION, cutoff=cutoffs.TENSOR, max_neighbours=None
    ),
    recipe=Recipe(
        name="tuned", optimiser="adamw", lr=3e-3, weight_decay=1.0, schedule="cosine",
        averaging=0.99, batch_size=16, epochs=100, patience=60,
    ),
)  # fmt: skip
NETWORKS: Mapping[RecipeName, DensityNetwork] = {"paper": _PAPER, "tuned": _TUNED}
