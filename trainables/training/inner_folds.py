"""One fold of a data set of crystals, of which each member of an array holds back another part.

Legend: K models, B crystals of a batch, V validation crystals, … the shape of one crystal's target.

All members get the same batches, of all crystals outside the test part, and each learns from those
that it does not hold back: the others have weight 0 in its loss. So a member trained alone gets the
same batches, and is the same as in the array.

Targets are standardised for each member by the mean and scale of its own training part; a target
that it holds back is in neither of them, nor in its loss. Only rounding depends on it: all targets
are first standardised together, in single precision, and then rescaled for each member. One among n
that lies X standard deviations of the others away costs them about 1e-7 X / n of such a deviation,
in members that hold it back too: nothing among usual data, a tenth for X = 1e8 among 100.
Statistics that a network keeps over a batch (the batch norms of CGCNN) are those of all crystals in
it, so that they know the structures held back, but not their targets.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainables.crystals.split import Split
from trainables.models.recipe import Recipe
from trainables.representations.batches import even_parts
from trainables.representations.graph_batch import Batch
from trainables.representations.source import GraphSource
from trainables.targets.base import Kind, Scaler
from trainables.training.averaging import copy_rows, select_rows
from trainables.training.problem import Forward, GraphProblem, predictions


@dataclass(frozen=True)
class OwnPart:
    """What the members learn from that hold back one of the parts.

    Attributes:
        split: with the held part as its validation part.
        scaler: of the targets of its training part.
        validated: where in the data's targets those of the held part are.
    """

    split: Split
    scaler: Scaler
    validated: np.ndarray


@dataclass(frozen=True)
class Rows:
    """A batch, and which crystals of the data set [B] are in it."""

    rows: Tensor
    batch: Batch


class InnerFoldsProblem(GraphProblem):
    """A fold whose members hold back different parts of it.

    Args:
        data: the whole data set, targets standardised by `scaler` and on the training device.
        split: all crystals that a member may learn from are its training part.
        recipe, kind, scaler, order_seed: as for `GraphProblem`.
        parts: by number of the inner fold.
        held: number of the inner fold that each member holds back.
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
        parts: Mapping[int, OwnPart],
        held: Sequence[int],
    ) -> None:
        super().__init__(data, split, recipe, kind=kind, scaler=scaler, order_seed=order_seed)
        self._parts, self._held = parts, list(held)
        own = [parts[number] for number in held]
        weight = np.zeros((len(own), len(data)))
        for k, part in enumerate(own):
            weight[k, part.split.train] = 1
        self._weight = self._on_device(weight)
        scales = [np.divide(scaler.scale, part.scaler.scale) for part in own]
        shifts = [(scaler.mean - part.scaler.mean) / part.scaler.scale for part in own]
        self._scale, self._shift = map(self._on_device, (np.stack(scales), np.stack(shifts)))
        self._stacks: dict[int, tuple[list[int], nn.Module]] = {}

    def _on_device(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(values)).to(self.device, self.dtype)

    def batches(self) -> Iterator[Any]:
        """All crystals outside the test part in a new random order; advances the generator."""
        shuffled = self._shuffled()
        size = self.recipe.batch_size
        parts = even_parts(shuffled, size)
        for rows, batch in zip(parts, self.data.batches(shuffled, size), strict=True):
            yield Rows(rows.to(self.device, non_blocking=True), batch)

    def loss(self, forward: Forward, batch: Any) -> Tensor:
        """[K] mean loss of each member over the crystals that it does not hold back.

        A member that holds back all of a batch has loss 0.
        """
        weight = self._weight[:, batch.rows]
        if self.kind.per_site:
            weight = weight[:, batch.batch.node_crystal]
        said, target = forward(batch.batch), self._own(batch.batch.target)
        return self.kind.loss(said, target, self.recipe.loss, weight)

    def _own(self, target: Tensor, members: slice | list[int] = slice(None)) -> Tensor:
        """[K, …] targets of the data as the members have them standardised."""
        scale, shift = self._scale[members], self._shift[members]
        target = target[None]
        wide = (len(scale), *[1] * (target.dim() - scale.dim()), *scale.shape[1:])
        flat = (len(shift), *[1] * (target.dim() - shift.dim()), *shift.shape[1:])
        return target * scale.view(wide) + shift.view(flat)

    def share(self, batch: Any) -> Tensor | float:
        """[K] share of each member's training part that is in a batch."""
        return self._weight[:, batch.rows].sum(dim=1) / self._weight.sum(dim=1)

    def errors(self, model: nn.Module) -> Tensor:
        """[K] validation errors, each on the crystals that the member holds back.

        Only the members that hold a part back are evaluated on it, so that the cost is that of one
        pass over the data for each mixing.
        """
        found = self._weight.new_zeros(len(self._held))
        for number in dict.fromkeys(self._held):
            part = self._parts[number]
            members, stack = self._stack(number, model)
            said = predictions(stack, self.data, torch.from_numpy(part.split.validation))
            places = torch.from_numpy(part.validated).to(self.device)
            # members of one part have one standardisation
            (true,) = self._own(self.data.target[places], members[:1])
            found[members] = self.kind.errors(said, true, part.scaler).to(found.dtype)
        return found

    def _stack(self, number: int, model: nn.Module) -> tuple[list[int], nn.Module]:
        """The members that hold a part back, and their model with the present weights."""
        if number not in self._stacks:
            members = [k for k, held in enumerate(self._held) if held == number]
            stack = copy.deepcopy(model).requires_grad_(False)
            select_rows(stack, members)
            self._stacks[number] = members, stack
        members, stack = self._stacks[number]
        copy_rows(model, stack, members)
        return members, stack

    def select(self, rows: Sequence[int]) -> None:
        """Keeps only the members at the given positions."""
        self._held = [self._held[k] for k in rows]
        chosen = list(rows)
        self._weight, self._scale, self._shift = (
            values[chosen] for values in (self._weight, self._scale, self._shift)
        )
        self._stacks = {}
