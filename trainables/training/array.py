"""Training arrays: K models that share backbone, width and batches, trained as one.

Legend: K models, B crystals.

Each model gets what it would get alone: its own initial weights, mixing, early stop and best
weights; only the arithmetic is shared. A model that stops leaves the array, so that it costs
nothing any more.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from trainables.models.embedding import Mixing
from trainables.models.layers import Generators
from trainables.training.compiled import forward_of
from trainables.training.recipe import Recipe
from trainables.training.source import GraphSource
from trainables.training.split import Split

EVALUATION_BATCH = 512
Build = Callable[[Generators, Sequence[Mixing]], nn.Module]


@dataclass(frozen=True, kw_only=True)
class Member:
    """One model of an array.

    Attributes:
        seed: decides the initial weights.
        rate: factor of the recipe's learning rate.
    """

    key: str
    mixing: Mixing
    seed: int
    rate: float = 1.0


@dataclass
class Course:
    """How a member's training went; MAEs in units of the target, losses as optimised."""

    member: Member
    train_loss: list[float] = field(default_factory=list)
    val_mae: list[float] = field(default_factory=list)
    best_epoch: int = -1
    best_mae: float = float("inf")
    diverged: bool = False
    seconds: float = 0.0

    @property
    def epochs(self) -> int:
        return len(self.val_mae)


@dataclass(frozen=True)
class Trained:
    """A member that has left the array: an array of one, with its best-validation weights."""

    course: Course
    model: nn.Module


class ArrayTraining:
    """Trains K models in lockstep, an epoch a call.

    Args:
        members: what differs between the models.
        build: makes the stacked model of some generators and mixings.
        data: the whole data set, targets standardised and on the training device.
        split: which crystals train, validate and test; the test part is not touched here.
        recipe: the optimisation.
        order_seed: decides the batches of every epoch, for all members alike.
        scale: standard deviation of the target, which turns losses into MAEs.
    """

    def __init__(
        self,
        members: Sequence[Member],
        build: Build,
        data: GraphSource,
        split: Split,
        recipe: Recipe,
        *,
        order_seed: int,
        scale: float,
    ) -> None:
        self.recipe, self.data, self.scale, self._build = recipe, data, scale, build
        self.active = [Course(member) for member in members]
        self.model = self._stack(members)
        self.optimiser = build_optimiser(recipe, self.model)
        self.averaged = copy.deepcopy(self.model) if recipe.averaging else self.model
        self.averaged.requires_grad_(recipe.averaging == 0)
        self.best = {name: value.clone() for name, value in self._evaluated_state().items()}
        self._train = torch.from_numpy(split.train)
        self._validation = torch.from_numpy(split.validation)
        self._order = np.random.default_rng(order_seed)
        self.epoch = 0
        self._steps = 0
        steps = recipe.epochs * -(-len(split.train) // recipe.batch_size)
        self._forward = forward_of(self.model, data.target.device, steps)

    def _stack(self, members: Sequence[Member]) -> nn.Module:
        generators = [torch.Generator().manual_seed(member.seed) for member in members]
        model = self._build(generators, [member.mixing for member in members])
        return model.to(self.data.target)

    def _evaluated_state(self) -> dict[str, Tensor]:
        return {name: value.detach() for name, value in self.averaged.state_dict().items()}

    def run_epoch(self) -> list[Trained]:
        """Trains one epoch, validates, and returns the members that leave the array after it."""
        start = time.perf_counter()
        loss_k = self._optimise()
        mae_k = mean_absolute_errors(self.averaged, self.data, self._validation) * self.scale
        losses, maes = loss_k.tolist(), mae_k.tolist()
        improved = [
            _note(course, self.epoch, loss, mae)
            for course, loss, mae in zip(self.active, losses, maes, strict=True)
        ]
        self._remember(improved)
        self.epoch += 1
        elapsed = time.perf_counter() - start
        for course in self.active:
            course.seconds += elapsed / len(self.active)
        leaving = [k for k, course in enumerate(self.active) if self._is_over(course)]
        trained = [self._extract(k) for k in leaving]
        if leaving:
            self._keep([k for k in range(len(self.active)) if k not in leaving])
        return trained

    def _is_over(self, course: Course) -> bool:
        waited = self.epoch - 1 - course.best_epoch
        return course.diverged or self.epoch >= self.recipe.epochs or waited >= self.recipe.patience

    def _optimise(self) -> Tensor:
        """One pass over the training part; the mean loss of each member [K]."""
        self.model.train()
        shuffled = self._train[torch.from_numpy(self._order.permutation(len(self._train)))]
        batches = -(-len(shuffled) // self.recipe.batch_size)
        total = self.data.target.new_zeros(len(self.active))
        for step, batch in enumerate(self.data.batches(shuffled, self.recipe.batch_size)):
            rate = self.recipe.lr * self.recipe.rate(self.epoch + step / batches)
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            error = self._forward(batch) - batch.target
            loss_k = (error.abs() if self.recipe.loss == "l1" else error.square()).mean(dim=1)
            self.optimiser.zero_grad(set_to_none=True)
            # The sum's gradient of one member's weights is that of its own loss alone.
            loss_k.sum().backward()
            self._step()
            self._average()
            total += loss_k.detach() * (batch.crystals / len(shuffled))
        return total

    def _step(self) -> None:
        """One step of the optimiser, of which each member takes its own multiple.

        Every step of ours is the rate times what the gradients so far decide, so this is what the
        member's own rate would give.
        """
        rates = [course.member.rate for course in self.active]
        if all(rate == 1 for rate in rates):
            self.optimiser.step()
            return
        parameters = list(self.model.parameters())
        before = [parameter.detach().clone() for parameter in parameters]
        self.optimiser.step()
        rate_k = self.data.target.new_tensor(rates)
        with torch.no_grad():
            for parameter, old in zip(parameters, before, strict=True):
                parameter.copy_(old.lerp(parameter, rate_k.view(-1, *[1] * (old.dim() - 1))))

    def _average(self) -> None:
        if not self.recipe.averaging:
            return
        self._steps += 1
        # Young averages forget faster, or they would remember the initial weights.
        decay = min(self.recipe.averaging, (1 + self._steps) / (10 + self._steps))
        current, averaged = self.model.state_dict(), self.averaged.state_dict()
        with torch.no_grad():
            torch._foreach_lerp_(list(averaged.values()), list(current.values()), 1 - decay)

    def _remember(self, improved: list[bool]) -> None:
        if not any(improved):
            return
        rows = [k for k, better in enumerate(improved) if better]
        for name, value in self._evaluated_state().items():
            self.best[name][rows] = value[rows]

    def _extract(self, k: int) -> Trained:
        course = self.active[k]
        model = self._stack([course.member])
        model.load_state_dict({name: value[k : k + 1] for name, value in self.best.items()})
        return Trained(course, model.eval())

    def _keep(self, rows: list[int]) -> None:
        self.active = [self.active[k] for k in rows]
        self.best = {name: value[rows] for name, value in self.best.items()}
        for parameter in self.model.parameters():
            state = self.optimiser.state[parameter]
            for name, value in state.items():
                if value is not None and value.dim() > 0:
                    state[name] = value[rows]
        models = [self.model] if self.averaged is self.model else [self.model, self.averaged]
        for model in models:
            for value in model.state_dict(keep_vars=True).values():
                value.grad = None
                value.data = value.data[rows]


def _note(course: Course, epoch: int, loss: float, mae: float) -> bool:
    """Adds an epoch to a member's course; True where it is the best so far."""
    course.train_loss.append(loss)
    course.val_mae.append(mae)
    course.diverged = not (np.isfinite(loss) and np.isfinite(mae))
    if course.diverged or mae >= course.best_mae:
        return False
    course.best_epoch, course.best_mae = epoch, mae
    return True


def build_optimiser(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of a recipe; elementwise, so that stacking does not change a member."""
    parameters = list(model.parameters())
    # fused: one pass over all weights; with small models the optimiser is a third of a step
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr=recipe.lr, momentum=0.9, fused=True)
    if recipe.optimiser == "adam":
        return torch.optim.Adam(parameters, lr=recipe.lr, fused=True)
    return torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)


@torch.no_grad()
def predictions(model: nn.Module, data: GraphSource, rows: Tensor) -> Tensor:
    """[K, B] standardised predictions of the crystals `rows` [B], which lies on the host."""
    model.eval()
    return torch.cat([model(batch) for batch in data.batches(rows, EVALUATION_BATCH)], dim=1)


def mean_absolute_errors(model: nn.Module, data: GraphSource, rows: Tensor) -> Tensor:
    """[K] mean absolute errors on standardised targets."""
    target = data.target[rows.to(data.target.device)]
    return (predictions(model, data, rows) - target).abs().mean(dim=1)
