"""The loss of a batch in closed form, its gradients, and sums over workers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.func import vmap

from tests.training.workers_for_tests import at_once, threads
from trainables.models.contrast_loss import near_pairs, pair_losses, whole_batch
from trainables.models.gathering import Group, gathered, summed


class Twins:
    """Two workers whose values are always the same."""

    rank, size = 0, 2

    def add(self, values: torch.Tensor) -> None:
        values.mul_(2)


def unit(*rows: list[float]) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.tensor([rows], dtype=torch.float64), dim=-1)


def test_the_loss_of_two_pairs_is_as_computed_by_hand() -> None:
    """Similarities 1 and 0 of right ones, 0 and 1/√2 of wrong ones, at the scale 2."""
    crystal, profile = unit([1, 0], [0, 1]), unit([1, 0], [-1, -1])
    similar = np.array([[1, 0], [-(0.5**0.5), -(0.5**0.5)]]).T  # crystals by profiles
    logits = 2 * similar
    wanted = [
        (np.log(np.exp(logits[i]).sum()) + np.log(np.exp(logits[:, i]).sum())) / 2 - logits[i, i]
        for i in range(2)
    ]
    found = pair_losses(crystal, profile, torch.tensor([2.0]).double(), torch.arange(2))
    assert found[0].tolist() == pytest.approx(wanted)


def test_equal_embeddings_lose_the_logarithm_of_their_number() -> None:
    same = unit(*[[1.0, 2.0, 2.0]] * 5)
    found = pair_losses(same, same, torch.tensor([7.0]).double(), torch.arange(5))
    assert found[0].tolist() == pytest.approx([math.log(5)] * 5)


def test_the_gradient_is_softmax_minus_one() -> None:
    crystal = torch.randn(1, 4, 3, dtype=torch.float64, requires_grad=True)
    profile = torch.randn(1, 4, 3, dtype=torch.float64)
    pair_losses(crystal, profile, torch.ones(1).double(), torch.arange(4)).sum().backward()
    logits = (crystal @ profile.transpose(1, 2)).detach()[0]
    share = (torch.softmax(logits, 1) + torch.softmax(logits, 0)) / 2 - torch.eye(4)
    assert crystal.grad is not None
    torch.testing.assert_close(crystal.grad[0], share @ profile[0], rtol=1e-9, atol=1e-12)


def test_masked_answers_are_not_wrong() -> None:
    torch.manual_seed(0)
    crystal, profile = (torch.randn(2, 5, 3).double() for _ in range(2))
    scale, kept = torch.tensor([1.0, 3.0]).double(), torch.tensor([0, 1, 2, 4])
    masked = torch.zeros(5, 5, dtype=torch.bool)
    masked[3] = masked[:, 3] = True
    masked[3, 3] = False
    found = pair_losses(crystal, profile, scale, torch.arange(5), masked)
    wanted = pair_losses(crystal[:, kept], profile[:, kept], scale, torch.arange(4))
    torch.testing.assert_close(found[:, kept], wanted)
    torch.testing.assert_close(found[:, 3], torch.zeros(2).double())


def test_near_profiles_are_so_as_they_are_or_reversed() -> None:
    ramp = torch.linspace(0, 1, 16)
    rows = torch.stack([ramp, ramp + 0.04, ramp.flip(0) - 0.04, ramp + 0.2])
    wanted = torch.zeros(4, 4, dtype=torch.bool)
    for one, other in ((0, 1), (0, 2)):
        wanted[one, other] = wanted[other, one] = True
    assert torch.equal(near_pairs(rows, 0.05), wanted)
    assert near_pairs(rows, 10.0).sum() == 12


def test_the_gradient_of_a_sum_over_workers_is_the_sum_of_gradients() -> None:
    values = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: summed(given, Twins()).square(), values)
    stacked = vmap(lambda given: summed(given, Twins()).square())
    assert torch.autograd.gradcheck(stacked, values)


def test_workers_gather_what_each_has() -> None:
    """And the gradient of what a worker has comes from all."""

    def work(group: Group) -> tuple[torch.Tensor, torch.Tensor]:
        own = torch.full((2,), float(group.rank + 1), requires_grad=True)
        found = gathered(own, group)
        (found * torch.tensor([[1.0], [10.0], [100.0]])).sum().backward()
        assert own.grad is not None
        return found.detach(), own.grad

    for rank, (found, gradient) in enumerate(at_once(work, threads(3))):
        assert found.tolist() == [[1, 1], [2, 2], [3, 3]]
        assert gradient.tolist() == [3 * 10**rank] * 2


def test_rows_of_workers_stand_where_they_do_in_the_batch() -> None:
    whole = torch.randn(2, 5, 3)

    def work(group: Group) -> torch.Tensor:
        own = torch.arange(5)[group.rank :: group.size]
        return whole_batch(whole[:, own], own, 5, group)

    for found in at_once(work, threads(2)):
        assert torch.equal(found, whole)
