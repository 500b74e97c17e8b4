"""The arrays of a grid: cells that are trained together."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from orchestrator.grid.cells import WITHIN, Cell
from trainables.crystals.condition import usual_sizes
from trainables.models.backbones import BACKBONES
from trainables.representations.dataset import Dataset
from trainables.targets.kinds import kind_of
from trainables.training.specification import ArraySpec, ModelSpec, Variant


@dataclass(frozen=True, kw_only=True)
class GridArray:
    """Cells of one task that are trained together: all that differs is their variant.

    Attributes:
        label: as of its cells.
    """

    task: str
    models: tuple[ModelSpec, ...]
    label: str = ""

    @cached_property
    def spec(self) -> ArraySpec:
        """The specification from which its training starts."""
        return ArraySpec.of(self.models)

    @property
    def id(self) -> str:
        usual = f"{self.task}/fold{self.spec.fold}/{self.spec.backbone}/d{self.spec.dim}"
        return f"{usual}/{self.label}" if self.label else usual

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
        """The array with some of its variants."""
        models = tuple(model for model in self.models if model.variant.label in labels)
        return dataclasses.replace(self, models=models)

    def cost(self, dataset: Dataset) -> float:
        """Relative cost of the whole training, from epochs, models and the cost of an edge."""
        fixed, wide = BACKBONES[self.spec.backbone].edge_cost
        taken = sum(usual_sizes(len(dataset), self.spec.condition)) / sum(usual_sizes(len(dataset)))
        work = dataset.graphs.edges * taken * (fixed + wide * self.spec.width)
        return float(work * len(self.models) * self.epochs)

    @staticmethod
    def member(row: Mapping[str, Any]) -> str:
        """Its mixing, and the inner fold that it holds back, if any."""
        spec = json.loads(row.get("spec") or "{}")
        held = spec["inner_fold"] if spec.get("inner_folds") else None
        return Variant(mixing=str(row["mixing"]), inner_fold=held).label

    @staticmethod
    def describe(row: Mapping[str, Any]) -> str:
        """Formats as "megnet d64 -2", or "megnet d64 -2 lr 0.001" where the array has a label."""
        usual = f"{row['backbone']} d{row['dim']} {GridArray.member(row)}"
        _, _, label = row["array"].partition(f"/{row['backbone']}/d{row['dim']}/")
        return f"{usual} {label}" if label else usual

    def row(self, label: str) -> dict[str, Any]:
        """What the ledger says of a member before it is trained."""
        (model,) = (model for model in self.models if model.variant.label == label)
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
    """Groups cells into arrays: those that differ only in axes within an array, or inner fold.

    Raises:
        ValueError: two arrays have one id, by which the rest of the job tells them apart.
    """
    same: dict[str, Any] = {**dict.fromkeys(WITHIN, ""), "inner_fold": 0}
    groups: dict[tuple[str, str, ModelSpec], list[ModelSpec]] = {}
    for cell in cells:
        shared = dataclasses.replace(cell.spec, **same)
        groups.setdefault((cell.task, cell.label, shared), []).append(cell.spec)
    found = [
        GridArray(task=task, models=tuple(models), label=label)
        for (task, label, _), models in groups.items()
    ]
    counts = Counter(array.id for array in found)
    if twice := sorted(name for name, count in counts.items() if count > 1):
        raise ValueError(f"several arrays are called {twice[0]}")
    return found
