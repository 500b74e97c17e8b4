"""LAMB that looks ahead, against the loop from its papers; each model of a stack for itself."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from trainables.training.lamb import Lamb


def gradients(step: int, k: int, shape: tuple[int, ...]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(100 * k + step)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def textbook(weight: torch.Tensor, k: int, steps: int, rate: float) -> torch.Tensor:
    """One model, number by number; every sixth step half of the way back."""
    mean, square, slow = torch.zeros_like(weight), torch.zeros_like(weight), None
    for step in range(1, steps + 1):
        gradient = gradients(step, k, tuple(weight.shape))
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        direction = mean / (square.sqrt() + 1e-6)
        size, length = min(math.sqrt((weight**2).sum()), 10.0), math.sqrt((direction**2).sum())
        trust = size / length if size and length else 1.0
        weight = weight - rate * trust * direction
        if step % 6 == 0:
            slow = weight.clone() if slow is None else slow + 0.5 * (weight - slow)
            weight = slow.clone()
    return weight


@pytest.mark.parametrize("start", [0.0, 0.3, 40.0])
def test_each_model_is_the_textbooks(start: float) -> None:
    """From zero weights (no trust ratio), small weights, and weights above the largest norm."""
    shape, models, steps = (3, 4), 3, 20
    weight = nn.Parameter(torch.full((models, *shape), start, dtype=torch.float64))
    optimiser = Lamb([weight], lr=0.05)
    for step in range(1, steps + 1):
        weight.grad = torch.stack([gradients(step, k, shape) for k in range(models)])
        optimiser.step()
    for k in range(models):
        alone = textbook(torch.full(shape, start, dtype=torch.float64), k, steps, 0.05)
        torch.testing.assert_close(weight[k].detach(), alone)


def test_what_has_no_gradient_stays() -> None:
    weight = nn.Parameter(torch.ones(2, 3))
    Lamb([weight], lr=0.1).step()
    assert torch.equal(weight, torch.ones(2, 3))


def test_what_is_loaded_goes_on_to_the_bit() -> None:
    """The count of steps too, which decides when the weights go back."""
    shape = (2, 3, 4)

    def walked(weight: nn.Parameter, optimiser: Lamb, steps: range) -> None:
        for step in steps:
            weight.grad = gradients(step, 0, shape)
            optimiser.step()

    weight = nn.Parameter(torch.full(shape, 0.3, dtype=torch.float64))
    optimiser = Lamb([weight], lr=0.05)
    walked(weight, optimiser, range(10))
    again = nn.Parameter(weight.detach().clone())
    loaded = Lamb([again], lr=0.05)
    loaded.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    walked(weight, optimiser, range(10, 15))
    walked(again, loaded, range(10, 15))
    assert torch.equal(weight, again)
