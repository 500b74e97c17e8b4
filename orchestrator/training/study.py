"""What is trained: a study of arrays of models, of whatever kind, with all that they need."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

from trainables.training.fit import ArrayFit
from trainables.training.outcome import Outcome


class TrainingArray(Protocol):
    """Models that are trained together, each by a label of its own."""

    @property
    def id(self) -> str:
        """Its name in tables and lines."""

    @property
    def task(self) -> str:
        """Name of its data set as a person knows it."""

    @property
    def data(self) -> Hashable:
        """Name of its data as the workers fetch it."""

    @property
    def kind(self) -> str:
        """Arrays of one kind take times that are to each other as their costs."""

    @property
    def spec(self) -> Any:
        """What its training begins with."""

    @property
    def epochs(self) -> int:
        """At most."""

    @property
    def keys(self) -> Mapping[str, str]:
        """Label -> key of the model."""

    def only(self, labels: Collection[str]) -> Self:
        """The array with some of its models."""

    def row(self, label: str) -> dict[str, Any]:
        """What the ledger says of a model before it is trained."""

    def cost(self, dataset: Any) -> float:
        """Relative cost of the whole training, among the arrays that are trained with it."""


class Naming(Protocol):
    """How a person is told of a recorded model; the class of an array can do it."""

    def member(self, row: Mapping[str, Any]) -> str:
        """Within its array."""

    def describe(self, row: Mapping[str, Any]) -> str:
        """Within its data set, in a few words."""


class Fit(Protocol):
    """An array in training."""

    @property
    def finished(self) -> bool: ...

    @property
    def epoch(self) -> int:
        """Epochs that are over."""

    def save(self) -> bytes:
        """Where the training is."""

    def load(self, content: bytes) -> None:
        """Goes on where a fit of the same models was saved; raises SnapshotError."""

    def advance(self) -> Iterable[Outcome]:
        """One epoch; the outcomes of the models that it was the last for."""


MakeFit = Callable[[Any, Any, str], Fit]  # of an array's spec, its data and the device


@dataclass(frozen=True, kw_only=True)
class Study:
    """Arrays of models that are to be trained, and what they are trained with.

    Attributes:
        arrays: all of them, whether their models are recorded or not.
        data: `TrainingArray.data` -> data set.
        naming: how a recorded model is called in lines and tables.
        make_fit: starts the training of an array.
        error: column of the validation error, the best of which is shown.
    """

    arrays: Sequence[TrainingArray]
    data: Mapping[Any, Any]
    naming: Naming
    make_fit: MakeFit = ArrayFit
    error: str = "val_mae"

    @cached_property
    def tasks(self) -> dict[str, str]:
        """Key of each model -> name of its data set."""
        return {key: array.task for array in self.arrays for key in array.keys.values()}

    @cached_property
    def _places(self) -> dict[str, tuple[TrainingArray, str]]:
        return {key: (array, label) for array in self.arrays for label, key in array.keys.items()}

    def row(self, key: str) -> dict[str, Any]:
        """What the ledger says of a model before it is trained."""
        array, label = self._places[key]
        return array.row(label)
