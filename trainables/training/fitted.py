"""What all arrays in training can do, whatever they are made from and leave behind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from trainables.training import snapshot
from trainables.training.array import ArrayTraining, Trained
from trainables.training.outcome import Outcome


class FittedArray(ABC):
    """An array in training: call `advance` until `finished`.

    Attributes:
        training: made by the subclass.
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
        """Epochs that are over."""
        return self.training.epoch

    def save(self) -> bytes:
        """Where the training is, to go on from with `load`."""
        return snapshot.save(self.training)

    def load(self, content: bytes) -> None:
        """Goes on where a fit of the same models was saved.

        Raises:
            SnapshotError: the bytes are no snapshot of these models.
        """
        snapshot.load(self.training, content)

    def advance(self) -> Iterator[Outcome]:
        """One epoch; yields the outcomes of the members that it was the last for."""
        yield from map(self._evaluate, self.training.run_epoch())
