"""The cells of a grid, their keys, and their arrays."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.grid.config import GridConfig
from orchestrator.training.study import key_of
from trainables.models.backbones import BACKBONES
from trainables.models.recipe import Recipe
from trainables.representations.dataset import Dataset
from trainables.training.fit import TRAINING_VERSION, ArraySpec


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One model of the grid."""

    task: str
    backbone: str
    dim: int
    mixing: str
    fold: int
    seed: int
    recipe: Recipe
    conv_width: int | None

    def key(self, fingerprint: str) -> str:
        """Identity of the trained model: the spec, the data and the training code.

        Args:
            fingerprint: of the data set as featurised for this backbone.
        """
        spec = dataclasses.asdict(self)
        del spec["task"]  # the same data under another path or name is the same cell
        return key_of({"spec": spec, "data": fingerprint, "training": TRAINING_VERSION})


def cells(config: GridConfig) -> list[Cell]:
    """All cells, in the order in which they are trained and printed."""
    product = itertools.product(
        config.tasks, config.folds, config.backbones, config.dims, config.mixing
    )
    return [
        Cell(
            task=task,
            backbone=backbone,
            dim=dim,
            mixing=mixing,
            fold=fold,
            seed=config.seed,
            recipe=config.recipe_of(backbone),
            conv_width=config.conv_width if BACKBONES[backbone].takes_conv_width else None,
        )
        for task, fold, backbone, dim, mixing in product
    ]


@dataclass(frozen=True, kw_only=True)
class GridArray:
    """Cells of one task that are trained together: all that differs is the mixing."""

    task: str
    spec: ArraySpec

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
        mixings = {label: key for label, key in self.spec.mixings.items() if label in labels}
        return dataclasses.replace(self, spec=dataclasses.replace(self.spec, mixings=mixings))

    def cost(self, dataset: Dataset) -> float:
        """Relative cost of the whole training, from epochs, models and the cost of an edge."""
        fixed, wide = BACKBONES[self.spec.backbone].edge_cost
        width = self.spec.conv_width or self.spec.dim
        models = len(self.spec.mixings)
        return float(dataset.graphs.edges * (fixed + wide * width) * models * self.epochs)

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
        spec = self.spec
        return {
            "key": spec.mixings[mixing],
            "task": self.task,
            "backbone": spec.backbone,
            "dim": spec.dim,
            "mixing": mixing,
            "fold": spec.fold,
            "seed": spec.seed,
            "recipe": spec.recipe.name,
            "array": self.id,
        }


def arrays(keyed: Iterable[tuple[Cell, str]]) -> list[GridArray]:
    """Groups (cell, key) pairs into arrays, in the order of their first cells."""
    groups: dict[tuple[Any, ...], list[tuple[Cell, str]]] = {}
    for cell, key in keyed:
        shared = (cell.task, cell.fold, cell.backbone, cell.dim, cell.seed, cell.recipe)
        groups.setdefault((*shared, cell.conv_width), []).append((cell, key))
    return [_array(members) for members in groups.values()]


def _array(members: Sequence[tuple[Cell, str]]) -> GridArray:
    first = members[0][0]
    spec = ArraySpec(
        backbone=first.backbone,
        dim=first.dim,
        mixings={cell.mixing: key for cell, key in members},
        fold=first.fold,
        seed=first.seed,
        recipe=first.recipe,
        conv_width=first.conv_width,
    )
    return GridArray(task=first.task, spec=spec)


def keyed_cells(
    config: GridConfig, fingerprints: Mapping[tuple[str, str], str]
) -> list[tuple[Cell, str]]:
    """Every cell with its key; `fingerprints` by (task, backbone)."""
    return [(cell, cell.key(fingerprints[cell.task, cell.backbone])) for cell in cells(config)]
