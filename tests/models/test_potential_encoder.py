"""The encoder of profiles: its symmetry, its batch norm against torch's, its size."""

from __future__ import annotations

import pytest
import torch

from tests.training.workers_for_tests import at_once, threads
from trainables.models.batch_norm import BatchNorm, Part
from trainables.models.gathering import ALONE, Group
from trainables.models.potential_encoder import PotentialEncoder


def whole(rows: int) -> Part:
    return Part(counted=True, rows=(rows,), group=ALONE)


def encoder(filters: int = 4) -> PotentialEncoder:
    torch.manual_seed(1)
    return PotentialEncoder(filters, 6, mean=3.0, scale=2.0).double()


def profiles() -> torch.Tensor:
    return torch.randn(5, 64, generator=torch.Generator().manual_seed(0)).double().cumsum(1)


@pytest.mark.parametrize("training", [True, False])
def test_a_profile_and_its_reverse_are_one_material(training: bool) -> None:
    both = [
        encoder().train(training)(given, whole(5)) for given in (profiles(), profiles().flip(1))
    ]
    torch.testing.assert_close(*both, rtol=1e-12, atol=1e-12)


def test_two_vacuum_levels_remain_two() -> None:
    """5 and 4 eV are not 4.5 eV twice."""
    z = torch.linspace(-1, 1, 64).double()
    steps = torch.stack([4.5 + 0.5 * z.sign(), torch.full_like(z, 4.5)]) - 8 * (z.abs() < 0.3)
    one, other = encoder().eval()(steps, whole(2))
    assert (one - other).abs().max() > 1e-3


def test_the_batch_norm_is_that_of_torch() -> None:
    """Also of three workers, one of which has nothing."""
    given, weight = torch.randn(2, 7, 3, 5).double(), torch.randn(7, 3, 5).double()
    theirs = torch.nn.BatchNorm1d(3).double()
    wanted = []
    for batch in given:
        batch = batch.clone().requires_grad_()
        output = theirs(batch)
        (output * weight).sum().backward()
        assert batch.grad is not None
        wanted.append((output.detach(), batch.grad))

    def work(group: Group) -> BatchNorm:
        ours = BatchNorm(3).double()
        own = [slice(0, 4), slice(4, 7), slice(0, 1)][group.rank]
        counted = group.rank < 2
        part = Part(counted=counted, rows=(4, 3, 0), group=group)
        for batch, (output, gradient) in zip(given, wanted, strict=True):
            mine = batch[own].clone().requires_grad_()
            found = ours(mine, part)
            (found * weight[own] * counted).sum().backward()
            if counted:
                torch.testing.assert_close(found.detach(), output[own])
                torch.testing.assert_close(mine.grad, gradient[own])
        return ours

    for ours in at_once(work, threads(3)):
        torch.testing.assert_close(ours.mean, theirs.running_mean)
        torch.testing.assert_close(ours.var, theirs.running_var)


def test_it_is_a_resnet_of_eighteen_layers() -> None:
    """As wide as published; 17 convolutions on the way, three beside it, and a linear layer."""
    made = encoder(64)
    convolutions = [one for one in made.modules() if isinstance(one, torch.nn.Conv1d)]
    assert len(convolutions) == 20 and convolutions[-1].out_channels == 512
    assert sum(one.kernel_size == (1,) for one in convolutions) == 3
