"""Training arrays: K models that share backbone, width and batches, trained as one.

Legend: K models, B crystals.

Each model gets what it would get alone: its own initial weights, mixing, early stop and best
weights; only the arithmetic is shared. A model that stops leaves the array and costs nothing more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from trainables.models.gathering import ALONE, Group
from trainables.models.layers import Generators
from trainables.models.recipe import CyclicRecipe, Recipe
from trainables.training.averaging import (
    CycleAverage,
    MovingAverage,
    NoAverage,
    WeightAverage,
    evaluated_state,
    select_rows,
)
from trainables.training.compiled import forward_of
from trainables.training.group import add_gradients
from trainables.training.optimisers import build_optimiser
from trainables.training.problem import Problem


@dataclass(frozen=True, kw_only=True)
class Member:
    """One model of an array.

    Attributes:
        label: identifies it in the array: a mixing, or a table and a fold.
        seed: determines the initial weights.
        rate: factor of the recipe's learning rate.
    """

    key: str
    label: str
    seed: int
    rate: float = 1.0


Build = Callable[[Generators, Sequence[Member]], nn.Module]


@dataclass
class History:
    """The learning curve of a member; losses as optimised.

    Attributes:
        val_error: validation error after each epoch, by default the MAE in units of the target;
            that of the previous epoch where a recipe does not validate.
    """

    member: Member
    train_loss: list[float] = field(default_factory=list)
    val_error: list[float] = field(default_factory=list)
    best_epoch: int = -1
    best_error: float = float("inf")
    diverged: bool = False
    seconds: float = 0.0

    @property
    def epochs(self) -> int:
        """Number of finished epochs."""
        return len(self.val_error)


@dataclass(frozen=True)
class Trained:
    """A member that has left the array: an array of one, with its best-validation weights."""

    history: History
    model: nn.Module


class ArrayTraining:
    """Trains K models in lockstep, one epoch per call.

    Args:
        members: what differs between the models.
        build: makes the stacked model from generators and members.
        problem: data, loss and validation.
        recipe: the optimisation.
        group: the workers that train the same array together, each with its part of the losses.
    """

    def __init__(
        self,
        members: Sequence[Member],
        build: Build,
        problem: Problem,
        recipe: Recipe,
        group: Group = ALONE,
    ) -> None:
        self.recipe, self.problem, self._build, self._group = recipe, problem, build, group
        self.active = [History(member) for member in members]
        self.model = self._stack(members)
        self.optimiser = build_optimiser(recipe, self.model)
        self.average = average_of(recipe, self.model)
        self.best = {
            name: value.clone() for name, value in evaluated_state(self.average.model).items()
        }
        self.epoch = 0
        steps = recipe.epochs * problem.steps
        self._forward = forward_of(self.model, problem.device, steps)

    def _stack(self, members: Sequence[Member]) -> nn.Module:
        generators = [torch.Generator().manual_seed(member.seed) for member in members]
        return self._build(generators, members).to(self.problem.device, self.problem.dtype)

    def run_epoch(self) -> list[Trained]:
        """Trains one epoch, validates, and returns the members that leave the array after it."""
        start = time.perf_counter()
        losses = self._optimise().tolist()
        errors = self._validate()
        improved = [
            _note(history, self.epoch, loss, error)
            for history, loss, error in zip(self.active, losses, errors, strict=True)
        ]
        self._remember(improved)
        self.epoch += 1
        elapsed = time.perf_counter() - start
        for history in self.active:
            history.seconds += elapsed / len(self.active)
        leaving = [k for k, history in enumerate(self.active) if self._is_over(history)]
        trained = [self._extract(k) for k in leaving]
        if leaving:
            self._select([k for k in range(len(self.active)) if k not in leaving])
        return trained

    def _validate(self) -> list[float] | list[None]:
        """Validation errors of the recipe's average of the weights; none within a cycle."""
        if not self.recipe.validates(self.epoch):
            return [None] * len(self.active)
        self.average.before_validation(self.model, self.problem.errors)
        errors: list[float] = self.problem.errors(self.average.model).tolist()
        return errors

    def _is_over(self, history: History) -> bool:
        waited = self.epoch - 1 - history.best_epoch
        return (
            history.diverged or self.epoch >= self.recipe.epochs or waited >= self.recipe.patience
        )

    def _optimise(self) -> Tensor:
        """One pass over the training parts; the mean loss of each member [K]."""
        self.model.train()
        total = self._per_member([0.0] * len(self.active))
        for step, batch in enumerate(self.problem.batches()):
            rate = self.recipe.lr * self.recipe.rate(self.epoch + step / self.problem.steps)
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            loss_k = self.problem.loss(self._forward, batch)
            self.optimiser.zero_grad(set_to_none=True)
            # The gradient of the sum for one member's weights is that of its own loss.
            loss_k.sum().backward()
            add_gradients(self._group, self.model.parameters())
            self._step()
            self.average.after_step(self.model)
            total += loss_k.detach() * self.problem.share(batch)
        self._group.add(total)
        return total

    def _step(self) -> None:
        """One step of the optimiser, scaled for each member by its own factor.

        In every optimiser used here a step is the rate times a function of the gradients, so this
        equals a step with the member's own rate.
        """
        rates = [
            history.member.rate * self.recipe.slowed(history.train_loss) for history in self.active
        ]
        if all(rate == 1 for rate in rates):
            self.optimiser.step()
            return
        parameters = list(self.model.parameters())
        before = [parameter.detach().clone() for parameter in parameters]
        self.optimiser.step()
        rate_k = self._per_member(rates)
        with torch.no_grad():
            for parameter, old in zip(parameters, before, strict=True):
                parameter.copy_(old.lerp(parameter, rate_k.view(-1, *[1] * (old.dim() - 1))))

    def _per_member(self, values: list[float]) -> Tensor:
        """[K], with the type and the device of the targets."""
        return torch.tensor(values, dtype=self.problem.dtype, device=self.problem.device)

    def _remember(self, improved: list[bool]) -> None:
        if not any(improved):
            return
        rows = [k for k, better in enumerate(improved) if better]
        for name, value in evaluated_state(self.average.model).items():
            self.best[name][rows] = value[rows]

    def _extract(self, k: int) -> Trained:
        history = self.active[k]
        model = self._stack([history.member])
        model.load_state_dict({name: value[k : k + 1] for name, value in self.best.items()})
        return Trained(history, model.eval())

    def _select(self, rows: list[int]) -> None:
        self.active = [self.active[k] for k in rows]
        self.best = {name: value[rows] for name, value in self.best.items()}
        for parameter in self.model.parameters():
            state = self.optimiser.state[parameter]
            for name, value in state.items():
                if value is not None and value.dim() > 0:
                    state[name] = value[rows]
        select_rows(self.model, rows)
        self.average.select(rows)
        self.problem.select(rows)


def _note(history: History, epoch: int, loss: float, error: float | None) -> bool:
    """Adds an epoch to a member's history; returns whether it is the best so far."""
    history.train_loss.append(loss)
    if error is None:
        history.val_error.append(history.val_error[-1] if history.val_error else float("inf"))
        history.diverged = not np.isfinite(loss)
        return False
    history.val_error.append(error)
    history.diverged = not (np.isfinite(loss) and np.isfinite(error))
    if history.diverged or error >= history.best_error:
        return False
    history.best_epoch, history.best_error = epoch, error
    return True


def average_of(recipe: Recipe, model: nn.Module) -> WeightAverage:
    """What a recipe validates: the weights themselves, or an average of them."""
    if isinstance(recipe, CyclicRecipe):
        return CycleAverage(model)
    return MovingAverage(model, recipe.averaging) if recipe.averaging else NoAverage(model)
