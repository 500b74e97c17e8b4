"""The base class of arrays in training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from trainables.training import snapshot
from trainables.training.array import ArrayTraining, Trained
from trainables.training.outcome import Outcome


class FittedArray(ABC):
    """An array in training: call `advance` until `finished`.

    Attributes:
        training: set by the subclass.
    """

    training: ArrayTraining

    @abstractmethod
    def _evaluate(self, trained: Trained) -> Outcome:
        """Evaluates a member that has left the array."""

    @property
    def finished(self) -> bool:
        """Whether all members have left the array."""
        return not self.training.active

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return self.training.epoch

    def save(self) -> bytes:
        """The state of the training, for `load`."""
        return snapshot.save(self.training)

    def load(self, content: bytes) -> None:
        """Restores the state of a fit of the same models.

        Raises:
            SnapshotError: the bytes are no snapshot of these models.
        """
        snapshot.load(self.training, content)

    def advance(self) -> Iterator[Outcome]:
        """Trains one epoch; yields the outcomes of the members that finished with it."""
        yield from map(self._evaluate, self.training.run_epoch())
