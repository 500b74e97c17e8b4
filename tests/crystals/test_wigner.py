"""Wigner matrices against e3nn's harmonics and their own algebra."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from e3nn import o3
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trainables.representations.wigner import (
    WIDTH,
    multiply,
    pack,
    packed,
    to_pole,
    transpose,
    unpack,
)
from trainables.tensors.harmonics import harmonics, wigner

ORDERS = (1, 2, 3, 4)

each = pytest.mark.parametrize("order", ORDERS)
numbers = st.floats(-1, 1, allow_subnormal=False)
vectors = st.tuples(numbers, numbers, numbers).filter(lambda v: np.linalg.norm(v) > 1e-3)


def orthogonal(seed: int) -> np.ndarray:
    """[3, 3] proper or improper."""
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return turn


@each
def test_harmonics_are_those_of_e3nn(order: int) -> None:
    points = np.random.default_rng(0).normal(size=(50, 3))
    theirs = o3.spherical_harmonics(
        order, torch.from_numpy(points[:, [1, 2, 0]]), normalize=False, normalization="norm"
    )
    assert np.abs(harmonics(order, points) - theirs.numpy()).max() < 1e-13


@each
def test_matrices_are_those_of_e3nn(order: int) -> None:
    """To the digits that its angles and constants have."""
    turn = orthogonal(2) * np.linalg.det(orthogonal(2))
    theirs = o3.Irrep(order, (-1) ** order).D_from_matrix(
        torch.from_numpy(turn[np.ix_([1, 2, 0], [1, 2, 0])])
    )
    assert np.abs(wigner(order, turn[None])[0] - theirs.numpy()).max() < 5e-6


@each
@settings(max_examples=40)
@given(one=st.integers(0, 10**6), other=st.integers(0, 10**6), point=vectors)
def test_matrices_represent_rotations_and_reflections(
    order: int, one: int, other: int, point: tuple[float, float, float]
) -> None:
    first, second = orthogonal(one), orthogonal(other)
    d_first, d_second, d_both = wigner(order, np.array([first, second, first @ second]))
    assert np.abs(d_first @ d_second - d_both).max() < 1e-13
    assert np.abs(d_first @ d_first.T - np.eye(2 * order + 1)).max() < 1e-13
    seen = harmonics(order, first @ np.array(point)) - d_first @ harmonics(order, np.array(point))
    assert np.abs(seen).max() < 1e-13


@each
def test_the_inversion_changes_the_sign_of_odd_orders(order: int) -> None:
    assert np.allclose(wigner(order, -np.eye(3)[None])[0], (-1) ** order * np.eye(2 * order + 1))


def test_packed_matrices_are_multiplied_and_transposed() -> None:
    turn = np.array([orthogonal(seed) for seed in range(5)])
    one, other = packed(turn), packed(turn[::-1])
    assert one.shape == (5, WIDTH) and np.array_equal(pack(unpack(one)), one)
    assert np.abs(multiply(one, other) - packed(turn @ turn[::-1])).max() < 1e-13
    assert np.abs(transpose(one) - packed(turn.swapaxes(1, 2))).max() < 1e-13


@settings(max_examples=100)
@given(point=vectors)
@example(point=(0.0, 0.0, 1.0))
@example(point=(0.0, 0.0, -1.0))
@example(point=(1e-12, 0.0, 1.0))
@example(point=(0.0, 1e-12, -1.0))
@example(point=(1.0, 0.0, -0.0))
def test_vectors_are_turned_to_the_pole(point: tuple[float, float, float]) -> None:
    (turn,) = to_pole(np.array([point]))
    assert np.abs(turn @ np.array(point) - [0, 0, np.linalg.norm(point)]).max() < 1e-14
    assert np.abs(turn @ turn.T - np.eye(3)).max() < 1e-14 and np.linalg.det(turn) > 0
