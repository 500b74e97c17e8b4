"""Irreducible parts against e3nn, and against what turns the Cartesian entries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from e3nn import o3
from e3nn.io import CartesianTensor

from trainables.tensors.irreps import FORMS, Form, coupling, powers

each = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
IRREPS = {
    "dielectric": ("ij=ji", "1x0e+1x2e"),
    "elastic": ("ijkl=jikl=klij", "2x0e+2x2e+1x4e"),
    "piezo": ("ijk=ikj", "2x1o+1x2o+1x3o"),
}


def orthogonal(seed: int, sign: float) -> np.ndarray:
    """[3, 3] of determinant `sign`."""
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return np.asarray(turn * np.linalg.det(turn) * sign)


def drawn(form: Form, seed: int = 0) -> np.ndarray:
    """[5, 3, …] random tensors of the form."""
    return form.cartesian(np.random.default_rng(seed).normal(size=(5, form.width)))


@each
def test_it_has_the_parts_that_e3nn_finds(form: Form) -> None:
    formula, parts = IRREPS[form.name]
    assert CartesianTensor(formula).simplify() == o3.Irreps(parts)
    assert form.width == o3.Irreps(parts).dim
    letters = "oe"[form.rank % 2 == 0]
    assert o3.Irreps([(1, f"{l}{letters}") for l in form.orders]).simplify() == o3.Irreps(parts)  # noqa: E741


@each
def test_the_basis_is_orthonormal_and_keeps_the_norm(form: Form) -> None:
    assert np.abs(form.basis @ form.basis.T - np.eye(form.width)).max() < 1e-14
    tensors = drawn(form)
    back = form.components(tensors)
    assert np.abs(form.cartesian(back) - tensors).max() < 1e-14
    norms = np.linalg.norm(tensors.reshape(5, -1), axis=1)
    np.testing.assert_allclose(np.linalg.norm(back, axis=1), norms, rtol=1e-14)


@each
def test_indices_that_are_the_same_are(form: Form) -> None:
    tensors = drawn(form)
    for order in form.same:
        assert np.array_equal(np.round(tensors, 13), np.round(
            tensors.transpose(0, *(1 + place for place in order)), 13))  # fmt: skip


@each
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_components_turn_as_the_entries_do(form: Form, sign: float) -> None:
    turn, tensors = orthogonal(3, sign), drawn(form)
    entries = tensors.reshape(5, -1) @ powers(turn, form.rank).T
    turned = form.turned(form.components(tensors), np.repeat(turn[None], 5, axis=0))
    assert np.abs(form.cartesian(turned).reshape(5, -1) - entries).max() < 1e-13


@each
def test_the_first_components_know_no_direction(form: Form) -> None:
    matrices = form.matrices(np.stack([orthogonal(seed, 1.0) for seed in range(3)]))
    some = np.eye(form.width)[: form.isotropic]
    assert np.abs(matrices[:, :, : form.isotropic] - some.T).max(initial=0.0) < 1e-14


def test_what_a_group_leaves_of_a_tensor() -> None:
    """A cubic crystal has one permittivity and three stiffnesses, one with a centre no piezo."""
    axes = [np.eye(3)[list(order)] for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1))]
    signs = [np.diag(one) for one in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))]
    tetrahedral = np.stack([axis @ sign for axis in axes for sign in signs])
    swap = np.eye(3)[[1, 0, 2]]
    full = np.concatenate([tetrahedral, tetrahedral @ swap])
    centred = np.concatenate([full, -full])
    left = {name: round(np.trace(form.invariant(centred))) for name, form in FORMS.items()}
    assert left == {"dielectric": 1, "elastic": 3, "piezo": 0}
    assert round(np.trace(FORMS["piezo"].invariant(full))) == 1  # d14 of zincblende


@pytest.mark.parametrize("orders", [(1, 2, 2), (3, 2, 2), (1, 1, 2), (2, 2, 4)])
def test_couplings_are_those_of_e3nn(orders: tuple[int, int, int]) -> None:
    theirs = o3.wigner_3j(*orders, dtype=torch.float64).numpy()
    ours = coupling(*orders) / (2 * orders[2] + 1) ** 0.5
    assert np.minimum(np.abs(ours - theirs).max(), np.abs(ours + theirs).max()) < 1e-6
