"""Arrays of the members of an ensemble: models that differ in their number alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from trainables.training.specification import Specification

S = TypeVar("S", bound=Specification)


@dataclass(frozen=True, kw_only=True)
class MembersArray(Generic[S]):
    """Some members of an ensemble, trained together.

    A subclass has the rest of a `TrainingArray`: `id`, `kind`, `spec`, `cost` and `row`.

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

    @staticmethod
    def member(row: Mapping[str, Any]) -> str:
        """Its name within its array."""
        return f"member {row['member']}"
