"""Bytes that operations read and write."""

from __future__ import annotations

import pytest
import torch

from benchmarks.traffic import bytes_moved, copy_bandwidth
from trainables.kernels import library, ops

N = 1000


@pytest.fixture
def x() -> torch.Tensor:
    return torch.zeros(N, 8)  # 32 kB


def test_each_operand_and_result_counts_once(x: torch.Tensor) -> None:
    assert bytes_moved(lambda: x + x) == 3 * 32 * N


def test_in_place_reads_and_writes(x: torch.Tensor) -> None:
    assert bytes_moved(lambda: x.mul_(2.0)) == 2 * 32 * N


def test_views_are_free(x: torch.Tensor) -> None:
    assert bytes_moved(lambda: x.view(8, N).t()[2:].detach()) == 0


def test_what_expand_repeats_is_read_once(x: torch.Tensor) -> None:
    row = torch.zeros(1, 8)
    assert bytes_moved(lambda: x + row.expand(N, 8)) == (2 * N + 1) * 32


def test_picking_rows_reads_those_rows(x: torch.Tensor) -> None:
    rows = torch.tensor([1, 2])
    moved = bytes_moved(lambda: x.index_select(0, rows))
    assert moved == 2 * 2 * 32 + rows.nbytes


def test_the_backward_pass_counts(x: torch.Tensor) -> None:
    weight = torch.zeros(8, 8, requires_grad=True)
    forward = bytes_moved(lambda: x @ weight)
    assert bytes_moved(lambda: (x @ weight).sum().backward()) > 1.5 * forward


def test_our_kernels_are_counted_as_what_they_stand_for() -> None:
    there = library.load() is not None
    x = torch.zeros(2, N, 8)
    assert bytes_moved(lambda: ops.gather(x, torch.arange(N))) >= 2 * x.nbytes
    assert (library.load() is not None) == there  # afterwards as before


def test_copy_bandwidth_is_of_a_machines_order() -> None:
    assert 1e8 < copy_bandwidth("cpu", 2**24) < 1e13
