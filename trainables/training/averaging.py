"""Averages of the weights during an optimisation, used in their place for validation.

Legend: K models.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

JOINS, RESTARTS = 1.01, 0.98  # of the best validation error


Errors = Callable[[nn.Module], Tensor]


class WeightAverage(Protocol):
    """The weights that are validated.

    Attributes:
        model: the stacked model that is validated; the one in training if nothing is averaged.
    """

    model: nn.Module

    def after_step(self, model: nn.Module) -> None:
        """Adds the weights after a step."""

    def before_validation(self, model: nn.Module, errors: Errors) -> None:
        """Adds the weights at the end of an epoch that validates.

        Args:
            errors: returns the [K] validation errors of a model.
        """

    def select(self, rows: Sequence[int]) -> None:
        """Keeps only the members at the given positions."""

    def state_dict(self) -> dict[str, Any]:
        """Its state besides the tensors of `model`, in values that JSON holds."""

    def load_state_dict(self, state: dict[str, Any], rows: Sequence[int]) -> None:
        """Restores a state of `state_dict`, for the members at `rows` only."""


class NoAverage:
    """The weights themselves."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def after_step(self, model: nn.Module) -> None:
        """Does nothing."""

    def before_validation(self, model: nn.Module, errors: Errors) -> None:
        """Does nothing."""

    def select(self, rows: Sequence[int]) -> None:
        """Does nothing."""

    def state_dict(self) -> dict[str, Any]:
        """No state."""
        return {}

    def load_state_dict(self, state: dict[str, Any], rows: Sequence[int]) -> None:
        """Does nothing."""


class MovingAverage:
    """Exponential moving average of the weights, step by step."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay = _copied(model), decay
        self._steps = 0

    @torch.no_grad()
    def after_step(self, model: nn.Module) -> None:
        """Adds the weights after a step to the average."""
        self._steps += 1
        # A young average decays faster, or the initial weights would dominate it.
        decay = min(self.decay, (1 + self._steps) / (10 + self._steps))
        averaged, current = _numbers_of(self.model, model)
        torch._foreach_lerp_(averaged, current, 1 - decay)

    def before_validation(self, model: nn.Module, errors: Errors) -> None:
        """Does nothing; the average is over steps."""

    def select(self, rows: Sequence[int]) -> None:
        """Keeps only the members at the given positions."""
        select_rows(self.model, rows)

    def state_dict(self) -> dict[str, Any]:
        """See `WeightAverage`."""
        return {"steps": self._steps}

    def load_state_dict(self, state: dict[str, Any], rows: Sequence[int]) -> None:
        """See `WeightAverage`."""
        self._steps = state["steps"]


class CycleAverage:
    """Stochastic weight averaging over the ends of cycles (Izmailov et al. 2018, arXiv:1803.05407).

    As in the published CrabNet: a model's weights are added if their validation error is at most
    1 % above its best, with the share n^(-1/3) for the n-th; an error 2 % below that at the last
    start of the average starts it again.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = _copied(model)
        self._joined = [0] * len(next(model.parameters()))
        self._begun = [float("inf")] * len(self._joined)
        self._best = list(self._begun)

    def after_step(self, model: nn.Module) -> None:
        """Does nothing; the average is over cycles."""

    @torch.no_grad()
    def before_validation(self, model: nn.Module, errors: Errors) -> None:
        """Adds the weights at a cycle's end to the averages of the members that are good there."""
        shares = [self._share(k, error) for k, error in enumerate(errors(model).tolist())]
        share_k = next(model.parameters()).new_tensor(shares)
        for averaged, current in zip(*_numbers_of(self.model, model), strict=True):
            averaged.lerp_(current, share_k.view(-1, *[1] * (averaged.dim() - 1)))

    def _share(self, k: int, error: float) -> float:
        if error < RESTARTS * self._begun[k]:
            self._begun[k], self._joined[k] = error, 0
        self._best[k] = min(self._best[k], error)
        if not error <= JOINS * self._best[k]:
            return 0.0
        self._joined[k] += 1
        return float(self._joined[k] ** (-1 / 3))

    def select(self, rows: Sequence[int]) -> None:
        """Keeps only the members at the given positions."""
        select_rows(self.model, rows)
        self._joined = [self._joined[k] for k in rows]
        self._begun = [self._begun[k] for k in rows]
        self._best = [self._best[k] for k in rows]

    def state_dict(self) -> dict[str, Any]:
        """See `WeightAverage`."""
        return {"joined": self._joined, "begun": self._begun, "best": self._best}

    def load_state_dict(self, state: dict[str, Any], rows: Sequence[int]) -> None:
        """See `WeightAverage`."""
        self._joined, self._begun, self._best = (
            [state[name][k] for k in rows] for name in ("joined", "begun", "best")
        )


def _copied(model: nn.Module) -> nn.Module:
    averaged = copy.deepcopy(model)
    averaged.requires_grad_(False)
    return averaged


def _numbers_of(averaged: nn.Module, current: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """What is averaged of both models; a counter, as batch norms have, is taken as it is."""
    pairs = list(zip(_distinct(averaged), _distinct(current), strict=True))
    for one, other in pairs:
        if not one.is_floating_point():
            one.copy_(other)
    numbers = [pair for pair in pairs if pair[0].is_floating_point()]
    return [one for one, _ in numbers], [other for _, other in numbers]


def _distinct(model: nn.Module) -> list[Tensor]:
    """The tensors of a model's state, each once: weights that are tied have several names."""
    return list({id(value): value for value in model.state_dict(keep_vars=True).values()}.values())


def select_rows(model: nn.Module, rows: Sequence[int]) -> None:
    """Keeps only the members at `rows` of a stacked model."""
    for value in _distinct(model):
        value.grad = None
        value.data = value.data[rows]


def copy_rows(model: nn.Module, part: nn.Module, rows: Sequence[int]) -> None:
    """Gives `part`, made by `select_rows` of a copy of the model, its members' present tensors."""
    for own, value in zip(_distinct(part), _distinct(model), strict=True):
        own.data = value.data[rows]


def evaluated_state(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of a model, detached."""
    return {name: value.detach() for name, value in model.state_dict().items()}
