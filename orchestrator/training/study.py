"""A study: arrays of models of any kind, with everything needed to train them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

from trainables.training.fit import ArrayFit
from trainables.training.outcome import Outcome


class TrainingArray(Protocol):
    """Models that are trained together, each with a label that is unique in the array."""

    @property
    def id(self) -> str:
        """The array's name in tables and messages."""

    @property
    def task(self) -> str:
        """Name of its data set, as shown to the user."""

    @property
    def data(self) -> Hashable:
        """Name under which workers fetch its data."""

    @property
    def kind(self) -> str:
        """Arrays of one kind take times in proportion to their costs."""

    @property
    def spec(self) -> Any:
        """The specification from which its training starts."""

    @property
    def epochs(self) -> int:
        """The largest number of epochs."""

    @property
    def keys(self) -> Mapping[str, str]:
        """Label -> key of the model."""

    def only(self, labels: Collection[str]) -> Self:
        """The array with the given models only."""

    def row(self, label: str) -> dict[str, Any]:
        """The columns of a model's ledger row that are known before it is trained."""

    def cost(self, dataset: Any) -> float:
        """Relative cost of the whole training, comparable among the arrays trained with it."""


class Naming(Protocol):
    """How recorded models are named to the user; the class of an array can implement it."""

    def member(self, row: Mapping[str, Any]) -> str:
        """The model's name within its array."""

    def describe(self, row: Mapping[str, Any]) -> str:
        """The model's name within its data set, in a few words."""


class Fit(Protocol):
    """An array in training."""

    @property
    def finished(self) -> bool: ...

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""

    def save(self) -> bytes:
        """The state of the training as bytes."""

    def load(self, content: bytes) -> None:
        """Restores the state of a fit of the same models; raises SnapshotError."""

    def advance(self) -> Iterable[Outcome]:
        """Trains one epoch; the outcomes of the models that finished with it."""


MakeFit = Callable[[Any, Any, str], Fit]  # of an array's spec, its data and the device


@dataclass(frozen=True, kw_only=True)
class Study:
    """Arrays of models to train, with everything needed to train them.

    Attributes:
        arrays: all of them, whether their models are recorded or not.
        data: `TrainingArray.data` -> data set.
        naming: names recorded models in messages and tables.
        make_fit: starts the training of an array.
        error: column of the validation error, whose best value is shown.
    """

    arrays: Sequence[TrainingArray]
    data: Mapping[Any, Any]
    naming: Naming
    make_fit: MakeFit = ArrayFit
    error: str = "val_error"

    @cached_property
    def tasks(self) -> dict[str, str]:
        """Key of each model -> name of its data set."""
        return {key: array.task for array in self.arrays for key in array.keys.values()}

    @cached_property
    def _places(self) -> dict[str, tuple[TrainingArray, str]]:
        return {key: (array, label) for array in self.arrays for label, key in array.keys.items()}

    def row(self, key: str) -> dict[str, Any]:
        """The columns of a model's ledger row that are known before it is trained."""
        array, label = self._places[key]
        return array.row(label)
