"""Models of densities of states before they are trained: specifications and recipes. Needs no torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from trainables.crystals.densities import Window
from trainables.models.options import NetworkOptions
from trainables.models.recipe import Recipe, RecipeName
from trainables.representations.graph import FEATURISER_VERSION
from trainables.representations.orbit_graph import OrbitGraph
from trainables.training.specification import Specification

# Raised whenever trained models differ in more than rounding; part of their keys.
DENSITY_VERSION = 1
SE3_TRANSFORMER = "se3_transformer"


@dataclass(frozen=True, kw_only=True)
class DensityOptions(NetworkOptions):
    """Options of a network of densities.

    Attributes:
        width: of the node features.
        layers: of a backbone; the SE(3)-transformer has three.
        dim: of the element vectors; unused by the SE(3)-transformer.
        hidden: numbers in the head; likewise.
        sites: weight of the errors of sites beside those of crystals, in the loss.
    """

    width: int = 32
    layers: int = 2
    dim: int = 16
    hidden: int = 64
    sites: float = 0.0


@dataclass(frozen=True, kw_only=True)
class DensitySpec(Specification):
    """A model of densities of states, as `Specification`; `fold` is tested.

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


@dataclass(frozen=True, kw_only=True)
class EnsembleSpec:
    """The members of a fold, which are trained together.

    Attributes:
        models: label -> its specification; they differ in `member` alone.
    """

    models: dict[str, DensitySpec]

    @property
    def first(self) -> DensitySpec:
        """What the members share."""
        return next(iter(self.models.values()))

    def only(self, labels: Collection[str]) -> EnsembleSpec:
        """Some of the members."""
        return EnsembleSpec(models={one: self.models[one] for one in labels})


def members_of(spec: DensitySpec) -> dict[str, DensitySpec]:
    """All members of an ensemble, by label."""
    return {f"member {one}": replace(spec, member=one) for one in range(spec.members)}
