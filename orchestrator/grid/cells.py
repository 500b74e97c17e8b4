"""The cells of a grid, and their arrays."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from orchestrator.grid.config import GridConfig
from trainables.models.backbones import BACKBONES
from trainables.models.options import NetworkOptions
from trainables.representations.dataset import Dataset
from trainables.targets.base import Target
from trainables.targets.kinds import kind_of
from trainables.training.fit import TRAINING_VERSION, ArraySpec
from trainables.training.specification import ModelSpec


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One model of the grid, and the name of its data set, which may differ between grids."""

    task: str
    spec: ModelSpec

    @property
    def key(self) -> str:
        """Key of the model."""
        return self.spec.key


def cells(
    config: GridConfig,
    targets: Mapping[str, Target],
    fingerprints: Mapping[tuple[str, str], str],
) -> list[Cell]:
    """All cells, in the order in which they are trained and printed.

    Args:
        targets: by task.
        fingerprints: of the data sets as featurised for a backbone, by (task, backbone); a cell
            whose data set is not featurised yet has a key that no record has.
    """
    product = itertools.product(config.tasks, config.folds, config.backbones, config.dims)
    return [
        Cell(
            task=task,
            spec=ModelSpec(
                data=fingerprints.get((task, backbone), f"{task}, not featurised"),
                target=targets[task],
                representation=BACKBONES[backbone].representation,
                fold=fold,
                seed=config.seed,
                recipe=recipe,
                training=TRAINING_VERSION,
                backbone=backbone,
                dim=dim,
                mixing=mixing,
                options=options,
            ),
        )
        for task, fold, backbone, dim in product
        for recipe, options in [(config.recipe_of(backbone), _options(config, backbone, dim))]
        for mixing in config.mixing
    ]


def _options(config: GridConfig, backbone: str, dim: int) -> NetworkOptions:
    """Options of the network; a width equal to the embedding's dimension counts as unset."""
    kind = BACKBONES[backbone].options
    takes_width = "conv_width" in {field.name for field in dataclasses.fields(kind)}
    if not takes_width or config.conv_width == dim:
        return kind()
    changes: dict[str, Any] = {"conv_width": config.conv_width}
    return kind(**changes)


@dataclass(frozen=True, kw_only=True)
class GridArray:
    """Cells of one task that are trained together: all that differs is the mixing."""

    task: str
    models: tuple[ModelSpec, ...]

    @cached_property
    def spec(self) -> ArraySpec:
        """The specification from which its training starts."""
        return ArraySpec.of(self.models)

    @property
    def id(self) -> str:
        return f"{self.task}/fold{self.spec.fold}/{self.spec.backbone}/d{self.spec.dim}"

    @property
    def data(self) -> tuple[str, str]:
        return self.task, self.spec.backbone

    @property
    def kind(self) -> str:
        return self.spec.backbone

    @property
    def epochs(self) -> int:
        return self.spec.recipe.epochs

    @property
    def keys(self) -> Mapping[str, str]:
        return self.spec.mixings

    def only(self, labels: Collection[str]) -> GridArray:
        """The array with some of its mixings."""
        models = tuple(model for model in self.models if model.mixing in labels)
        return dataclasses.replace(self, models=models)

    def cost(self, dataset: Dataset) -> float:
        """Relative cost of the whole training, from epochs, models and the cost of an edge."""
        fixed, wide = BACKBONES[self.spec.backbone].edge_cost
        work = dataset.graphs.edges * (fixed + wide * self.spec.width)
        return float(work * len(self.models) * self.epochs)

    @staticmethod
    def member(row: Mapping[str, Any]) -> str:
        """Its mixing."""
        return str(row["mixing"])

    @staticmethod
    def describe(row: Mapping[str, Any]) -> str:
        """Formats as "megnet d64 -2"."""
        return f"{row['backbone']} d{row['dim']} {row['mixing']}"

    def row(self, mixing: str) -> dict[str, Any]:
        """What the ledger says of a member before it is trained."""
        (model,) = (model for model in self.models if model.mixing == mixing)
        return {
            "key": model.key,
            "task": self.task,
            "backbone": model.backbone,
            "dim": model.dim,
            "mixing": model.mixing,
            "fold": model.fold,
            "seed": model.seed,
            "recipe": model.recipe.name,
            "target": model.target.name,
            "unit": model.target.unit,
            "metric": kind_of(model.target).metric,
            "spec": model.text,
            "array": self.id,
        }


def arrays(cells: Iterable[Cell]) -> list[GridArray]:
    """Groups cells into arrays: consecutive cells that differ only in the mixing."""

    def shared(cell: Cell) -> tuple[str, ModelSpec]:
        return cell.task, dataclasses.replace(cell.spec, mixing="")

    return [
        GridArray(task=task, models=tuple(cell.spec for cell in members))
        for (task, _), members in itertools.groupby(cells, shared)
    ]
