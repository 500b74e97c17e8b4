"""Counts of torch operations: kernels, bytes, matrix products, and live memory."""

from __future__ import annotations

import torch
from torch import Tensor

from orchestrator.planning.tally import Tally

K, N, D, F = 2, 10, 20, 30


def product() -> tuple[Tensor, Tensor]:
    return torch.ones(K, N, D, requires_grad=True), torch.ones(K, D, F, requires_grad=True)


def test_a_product_and_its_gradients() -> None:
    a, b = product()
    with Tally() as tally:
        c = torch.bmm(a, b)
    assert (tally.kernels, tally.flops) == (1, 2 * K * N * D * F)
    assert tally.moved == a.nbytes + b.nbytes + c.nbytes
    tally.restart()
    with tally:
        c.backward(torch.ones_like(c))
    assert tally.flops == 2 * (2 * K * N * D * F)  # one product for each gradient


def test_views_and_reserved_memory_move_nothing() -> None:
    x = torch.ones(4, 6)
    with Tally() as tally:
        x.t()[1:].unsqueeze(0).expand(5, -1, -1)
        torch.empty(100)
    assert (tally.kernels, tally.moved) == (0, 0)


def test_what_is_repeated_lies_in_memory_once_and_what_is_picked_is_read_once() -> None:
    x = torch.ones(1, 50)
    with Tally() as tally:
        y = x.expand(1000, -1) + 1
    assert tally.moved == x.nbytes + y.nbytes
    table, chosen = torch.ones(100_000, 8), torch.tensor([3, 5])
    with Tally() as tally:
        rows = table.index_select(0, chosen)
    assert tally.moved == 2 * rows.nbytes + chosen.nbytes < table.nbytes


def test_an_optimiser_moves_all_its_lists() -> None:
    weights = [torch.ones(1000, requires_grad=True) for _ in range(3)]
    for weight in weights:
        weight.grad = torch.ones(1000)
    optimiser = torch.optim.SGD(weights, lr=0.1, fused=True)
    with Tally() as tally:
        optimiser.step()
    assert tally.moved >= 2 * 3 * 4000
    assert tally.kernels < 10


def test_the_peak_is_of_what_is_alive_at_once() -> None:
    with Tally() as tally:
        a = torch.ones(1000)
        b = a + 1
        c = b.view(10, 100)  # no memory of its own
        del a, b
        d = torch.ones(500)
        del c, d
        torch.ones(100)
    assert tally.peak == 2 * 4000


def test_what_autograd_keeps_is_alive() -> None:
    x = torch.ones(1000, requires_grad=True)
    with Tally() as tally:
        y = x
        for _ in range(5):
            y = y.exp()  # keeps its result for the gradient
        one_more = tally.peak
        del y
    assert one_more == 5 * 4000
    with torch.no_grad(), Tally() as tally:
        y = x
        for _ in range(5):
            y = y.exp()
    assert tally.peak == 2 * 4000
