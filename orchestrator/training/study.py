"""A study: arrays of models of any kind, with everything needed to train them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import pandas as pd
import pyarrow as pa

from trainables.representations.dataset import Dataset
from trainables.training.specification import ArraySpec

if TYPE_CHECKING:
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


NO_TABLES: Mapping[str, np.ndarray] = MappingProxyType({})
# Of an array's spec, its data and the device; where workers train an array together also of their
# `group`, by name.
MakeFit = Callable[..., Fit]


def as_recorded(ledger: pa.Table) -> pa.Table:
    """The ledger with the columns that the records have."""
    return ledger


def nothing_more(told: pd.DataFrame) -> Sequence[TrainingArray]:
    """No further array, whatever the ledger holds."""
    return ()


def graph_networks(
    spec: ArraySpec, data: Dataset, device: str, tables: Mapping[str, np.ndarray] = NO_TABLES
) -> Fit:
    """Starts the training of an array of graph networks.

    Args:
        tables: by name, the handcrafted ones that are not built in.
    """
    from trainables.training.fit import ArrayFit  # here: the driver needs no torch

    return ArrayFit(replace(spec, table=tables.get(spec.recipe.handcrafted)), data, device)


@dataclass(frozen=True, kw_only=True)
class Study:
    """Arrays of models to train, with everything needed to train them.

    Attributes:
        arrays: all that are known, whether their models are recorded or not.
        data: `TrainingArray.data` -> data set.
        naming: names recorded models in messages and tables.
        make_fit: starts the training of an array.
        error: column of the validation error, whose best value is shown.
        complete: adds the columns of the ledger that follow from others.
        more: the arrays to train next, given the complete ledger of those before; none ends the
            study.
        together: workers that train each array together, by Ray Train; 0 for one worker an array.
    """

    arrays: Sequence[TrainingArray]
    data: Mapping[Any, Any]
    naming: Naming
    make_fit: MakeFit = graph_networks
    error: str = "val_error"
    complete: Callable[[pa.Table], pa.Table] = as_recorded
    more: Callable[[pd.DataFrame], Sequence[TrainingArray]] = nothing_more
    together: int = 0

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
