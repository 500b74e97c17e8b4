"""Featurised samples of the embedded crystals, for measurements in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pandas as pd
import pyarrow as pa

from orchestrator.grid.arrays import GridArray, arrays
from orchestrator.grid.cells import Cell, cells
from orchestrator.grid.columns import with_axes
from orchestrator.grid.config import GridConfig
from orchestrator.planning.sample import first
from orchestrator.runs.records import SCHEMA
from tests.orchestrator.small_grids import embedded
from tests.orchestrator.small_records import row
from trainables.models.backbones import BACKBONES
from trainables.models.recipe import Recipe
from trainables.representations import shards
from trainables.representations.dataset import Dataset
from trainables.representations.featurise import featurise
from trainables.representations.graph import Graphs
from trainables.targets.base import Target
from trainables.training.specification import ArraySpec, ModelSpec

CRYSTALS = 600
ENERGY = Target(name="energy", unit="eV")


@cache
def _featurised(backbone: str) -> Dataset[Graphs]:
    entries = list(embedded(CRYSTALS))
    kind = BACKBONES[backbone].representation
    result = featurise(entries, [kind], 1000)
    ids = [entry.id for entry in entries]
    table = shards.to_table(ids, range(CRYSTALS), result.target, result.graphs[kind.name])
    return shards.from_table(table, Graphs, CRYSTALS)


def featurised(backbone: str, crystals: int = CRYSTALS) -> Dataset[Graphs]:
    """The first embedded crystals, featurised for a backbone."""
    return first(_featurised(backbone), crystals)


def array_spec(
    backbone: str, dim: int, mixings: str = "H 0 L", recipe: Recipe | None = None
) -> ArraySpec:
    recipe = recipe or BACKBONES[backbone].recipes["paper"]
    return grid_array(mixings, backbone=backbone, dim=dim, recipe=recipe).spec


def model_spec(backbone: str = "cgcnn", **changes: Any) -> ModelSpec:
    """A small model's."""
    entry = BACKBONES[backbone]
    given = {
        "data": "made-up", "target": ENERGY, "representation": entry.representation, "fold": 0,
        "seed": 0, "recipe": entry.recipes["tuned"], "training": 1, "dim": 4, "mixing": "H",
        "options": entry.options(),
    }  # fmt: skip
    return ModelSpec(backbone=backbone, **given | changes)


def grid_array(mixings: str = "H L", task: str = "made-up", **changes: Any) -> GridArray:
    """An array of small models."""
    models = (model_spec(mixing=label, **changes) for label in mixings.split())
    return GridArray(task=task, models=tuple(models))


def cells_of(config: GridConfig, data: str = "", target: Target = ENERGY) -> list[Cell]:
    """Those of a grid whose data sets are featurised, each with a fingerprint of its own."""
    pairs = [(task, backbone) for task in config.tasks for backbone in config.backbones]
    fingerprints = {pair: data or " ".join(pair) for pair in pairs}
    return cells(config, dict.fromkeys(config.tasks, target), fingerprints)


def with_rows(
    cells: Sequence[Cell], errors: Callable[[ModelSpec], float] = lambda _: 1.0
) -> pd.DataFrame:
    """The complete ledger of cells that are done, with validation errors."""
    rows = []
    for array in arrays(cells):
        for model in array.models:
            known = {name: value for name, value in array.row(model.variant.label).items()}
            rows.append(
                row(known.pop("key"), **known)
                | dict.fromkeys(("val_error", "val_mae"), errors(model))
            )
    return with_axes(pa.Table.from_pylist(rows, schema=SCHEMA)).to_pandas()
