"""What an array learns: its batches, its losses, and how its members are validated.

Legend: K models, B samples, … the shape of one sample's target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from trainables.crystals.split import Split
from trainables.models.recipe import Recipe
from trainables.representations.source import GraphSource
from trainables.targets.base import Kind, Scaler

EVALUATION_BATCH = 512
Forward = Callable[[Any], Tensor]


class Problem(Protocol):
    """A data set with its split, as a training array uses it."""

    @property
    def device(self) -> torch.device:
        """The device of the training."""

    @property
    def dtype(self) -> torch.dtype:
        """The float type of targets and weights."""

    @property
    def steps(self) -> int:
        """Number of batches in an epoch."""

    def batches(self) -> Iterator[Any]:
        """One pass over the training parts, in random order."""

    def loss(self, forward: Forward, batch: Any) -> Tensor:
        """[K] mean loss of each member on its own part of a batch."""

    def share(self, batch: Any) -> Tensor | float:
        """The share of each member's training part that is in a batch; [K], or one for all."""

    def errors(self, model: nn.Module) -> Tensor:
        """[K] validation errors; lower is better."""

    def select(self, rows: Sequence[int]) -> None:
        """Keeps only the members at the given positions; the others have left the array."""

    def state_dict(self) -> dict[str, Any]:
        """States of the random generators: tensors, or values that JSON holds."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the generators to a state of `state_dict`."""


class InRandomOrder:
    """The part of a problem that passes over its rows in a random order.

    Args:
        data: the whole data set on the training device; its `target` is a tensor.
        recipe: determines the batch size.
        learned: rows that are learned from.
        order_seed: determines the batches of every epoch.
    """

    data: Any

    def __init__(self, data: Any, recipe: Recipe, learned: np.ndarray, order_seed: int) -> None:
        self.data, self.recipe = data, recipe
        self._train = torch.from_numpy(learned)
        self._order = np.random.default_rng(order_seed)

    @property
    def device(self) -> torch.device:
        """The device of the training."""
        device: torch.device = self.data.target.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """The float type of targets and weights."""
        dtype: torch.dtype = self.data.target.dtype
        return dtype

    @property
    def steps(self) -> int:
        """Number of batches in an epoch, whose sizes differ by one at most."""
        return -(-len(self._train) // self.recipe.batch_size)

    def _shuffled(self) -> Tensor:
        """The rows in a new random order; advances the random generator."""
        return self._train[torch.from_numpy(self._order.permutation(len(self._train)))]

    def select(self, rows: Sequence[int]) -> None:
        """Does nothing, as no state depends on the members."""

    def state_dict(self) -> dict[str, Any]:
        """State of the generator of the batches' order."""
        return {"order": self._order.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Problem`."""
        self._order.bit_generator.state = state["order"]


class GraphProblem(InRandomOrder):
    """One fold of a data set of crystals; all members learn from the same batches.

    Args:
        data: the whole data set, targets standardised and on the training device.
        split: which crystals train, validate and test; the test part is not used here.
        recipe: determines loss and batch size.
        kind: of the target.
        scaler: with which the targets were standardised.
        order_seed: determines the batches of every epoch.
        validated: where in the data's targets those of the validation part are; None if each
            crystal has one.
    """

    def __init__(
        self,
        data: GraphSource,
        split: Split,
        recipe: Recipe,
        *,
        kind: Kind,
        scaler: Scaler,
        order_seed: int,
        validated: np.ndarray | None = None,
    ) -> None:
        super().__init__(data, recipe, split.train, order_seed)
        self.kind, self.scaler = kind, scaler
        self._validation = torch.from_numpy(split.validation)
        self._validated = self._validation if validated is None else torch.from_numpy(validated)

    def batches(self) -> Iterator[Any]:
        """The training crystals in a new random order; advances the random generator."""
        batches: Iterator[Any] = self.data.batches(self._shuffled(), self.recipe.batch_size)
        return batches

    def loss(self, forward: Forward, batch: Any) -> Tensor:
        """[K] mean loss of the target's kind; its form is the recipe's.

        Args:
            forward: batch -> outputs [K, B, …].
            batch: of B crystals with standardised targets.
        """
        return self.kind.loss(forward(batch), batch.target, self.recipe.loss)

    def share(self, batch: Any) -> Tensor | float:
        """Share of the training crystals that are in a batch; the same for all members."""
        return batch.crystals / len(self._train)

    def errors(self, model: nn.Module) -> Tensor:
        """[K] validation errors in the metric of the target's kind."""
        true = self.data.target[self._validated.to(self.device)]
        said = predictions(model, self.data, self._validation)
        return self.kind.errors(said, true, self.scaler)


@torch.no_grad()
def predictions(model: nn.Module, data: GraphSource, rows: Tensor) -> Tensor:
    """[K, B, …] outputs for the crystals `rows` [B], on the host; [K, N] for their sites."""
    model.eval()
    return torch.cat([model(batch) for batch in data.batches(rows, EVALUATION_BATCH)], dim=1)
