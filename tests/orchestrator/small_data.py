"""Featurised samples of the embedded crystals, for measurements in this process."""

from __future__ import annotations

from functools import cache

from orchestrator.planning.sample import first
from tests.orchestrator.small_grids import embedded
from trainables.models.backbones import BACKBONES
from trainables.models.recipe import Recipe
from trainables.representations import shards
from trainables.representations.dataset import Dataset
from trainables.representations.featurise import featurise
from trainables.representations.graph import Graphs
from trainables.training.fit import ArraySpec

CRYSTALS = 600


@cache
def _featurised(backbone: str) -> Dataset[Graphs]:
    entries = list(embedded(CRYSTALS))
    kind = BACKBONES[backbone].graph_kind
    result = featurise(entries, [kind], 1000)
    ids = [entry.id for entry in entries]
    table = shards.to_table(ids, range(CRYSTALS), result.target, result.graphs[kind.name])
    return shards.from_table(table, CRYSTALS)


def featurised(backbone: str, crystals: int = CRYSTALS) -> Dataset[Graphs]:
    """The first embedded crystals, featurised for a backbone."""
    return first(_featurised(backbone), crystals)


def array_spec(
    backbone: str, dim: int, mixings: str = "H 0 L", recipe: Recipe | None = None
) -> ArraySpec:
    return ArraySpec(
        backbone=backbone,
        dim=dim,
        mixings={label: label for label in mixings.split()},
        fold=0,
        seed=0,
        recipe=recipe or BACKBONES[backbone].recipes["paper"],
    )
