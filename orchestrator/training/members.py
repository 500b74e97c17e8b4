"""Arrays of the members of an ensemble: models that differ in their number alone."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import pyarrow as pa

from orchestrator.runs.record_contents import ENVIRONMENT
from trainables.training.specification import Specification

# The last columns of a ledger of such models.
OUTCOME = [
    *((f"n_{part}", pa.int64()) for part in ("train", "val", "test")),
    *((name, pa.int64()) for name in ("epochs", "best_epoch", "parameters")),
    ("seconds", pa.float64()),
    *((name, pa.string()) for name in ("target", "unit", "spec", "array")),
    *ENVIRONMENT,
    ("error", pa.string()),
]

S = TypeVar("S", bound=Specification)


@dataclass(frozen=True, kw_only=True)
class MembersArray(ABC, Generic[S]):
    """Some members of an ensemble, trained together.

    A subclass has the rest of a `TrainingArray`: `id`, `kind`, `spec`, `cost`, and what its models
    have beside others in `row`.

    Attributes:
        task: name of the data set.
        models: label -> specification.
    """

    task: str
    models: Mapping[str, S]

    @property
    def first(self) -> S:
        """What the members share."""
        return next(iter(self.models.values()))

    @property
    @abstractmethod
    def id(self) -> str:
        """See `TrainingArray`."""

    @property
    def data(self) -> str:
        """See `TrainingArray`."""
        return self.task

    @property
    def epochs(self) -> int:
        """See `TrainingArray`."""
        return self.first.recipe.epochs

    @property
    def keys(self) -> Mapping[str, str]:
        """See `TrainingArray`."""
        return {label: model.key for label, model in self.models.items()}

    def only(self, labels: Collection[str]) -> Self:
        """See `TrainingArray`."""
        models = {label: model for label, model in self.models.items() if label in labels}
        return dataclasses.replace(self, models=models)

    def row(self, label: str) -> dict[str, Any]:
        """See `TrainingArray`."""
        model = self.models[label]
        return {
            "key": model.key,
            "task": self.task,
            "recipe": model.recipe.name,
            "seed": model.seed,
            "target": model.target.name,
            "unit": model.target.unit,
            "spec": model.text,
            "array": self.id,
        }

    @staticmethod
    def member(row: Mapping[str, Any]) -> str:
        """Its name within its array."""
        return f"member {row['member']}"
