"""The optimisers of recipes."""

from __future__ import annotations

import inspect
from typing import TypeVar

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from trainables.models.recipe import Recipe
from trainables.training.lamb import Lamb

T = TypeVar("T", bound=Optimizer)


def build_optimiser(recipe: Recipe, model: nn.Module) -> Optimizer:
    """The optimiser of a recipe; acts on each member alone, so that stacking changes nothing."""
    parameters = list(model.parameters())
    # fused: one pass over all weights; with small models the optimiser is a third of a step
    match recipe.optimiser:
        case "sgd":
            return _eager(SGD)(parameters, lr=recipe.lr, momentum=0.9, fused=True)
        case "adam":
            return _eager(Adam)(parameters, lr=recipe.lr, fused=True)
        case "adamw":
            decay, betas = recipe.weight_decay, (0.9, recipe.beta2)
            return _eager(AdamW)(
                parameters, lr=recipe.lr, betas=betas, weight_decay=decay, fused=True
            )
        case "lamb":
            return _eager(Lamb)(parameters, lr=recipe.lr)


def _eager(kind: type[T]) -> type[T]:
    """A class of optimisers without the wrappers that keep torch's compiler out of its methods.

    When they are first called, they import that compiler, which takes each worker a second or two
    before its first step. Nothing here compiles an optimiser.
    """
    names = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in names}
    step = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {**methods, "step": step})
