"""Predicted tensors: symmetric, equivariant, the same on all atoms as on orbits of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.crystals.symmetric_crystals import GROUPS, of_group
from trainables.crystals.crystal import Crystal
from trainables.models.backbones import BACKBONES
from trainables.models.mixing import Mixing
from trainables.models.options import TensorOptions
from trainables.representations.allowed import allowed
from trainables.representations.batches import DeviceColumns
from trainables.representations.columns import Columns, column_of
from trainables.representations.symmetrise import symmetrise
from trainables.representations.tensor_frames import point_group
from trainables.targets.base import Target
from trainables.targets.kinds import kind_of
from trainables.targets.tensor import TensorKind
from trainables.tensors.irreps import FORMS
from trainables.testing.samples import built, of_all_atoms
from trainables.training.fit import build_embedding, build_model
from trainables.training.problem import predictions

CRYSTALS = tuple(of_group(number) for number in GROUPS)
KIND = BACKBONES["tensor"].representation
each = pytest.mark.parametrize("name", FORMS)


def target(name: Any) -> Target:
    """A target of a kind of tensor."""
    return Target(name="x", unit=None, kind=name, shape=(FORMS[name].width,))


def network(name: str, members: int = 1, **options: Any) -> nn.Module:
    """Untrained, in double precision, with readouts large enough to be seen."""
    generators = [torch.Generator().manual_seed(5 + k) for k in range(members)]
    embedding = build_embedding(generators, [Mixing("0")] * members, 8)
    made = build_model("tensor", generators, embedding, TensorOptions(**options), target(name))
    return made.double()


@cache
def graphs() -> Columns:
    return built(CRYSTALS, KIND)


def said(model: nn.Module, given: Columns, name: str, dtype: torch.dtype) -> np.ndarray:
    """[K, B, C] outputs."""
    kind = kind_of(target(name))
    empty = np.zeros((len(given), FORMS[name].width))
    data = DeviceColumns.load(given, empty, dtype=dtype, known=column_of(kind))
    return predictions(model.to(dtype), data, torch.arange(len(given))).double().numpy()


@each
def test_predictions_obey_the_point_group_to_twelve_digits(name: str) -> None:
    """Proper and improper operations of all crystal systems, from single precision."""
    kind = kind_of(target(name))
    assert isinstance(kind, TensorKind)
    outputs = said(network(name), graphs(), name, torch.float32)[0]
    values = allowed(kind, outputs, graphs(), np.arange(len(CRYSTALS)))
    assert np.abs(values - outputs).max() < 1e-5 * np.abs(outputs).max()
    for number, value, crystal in zip(GROUPS, values, CRYSTALS, strict=True):
        group = point_group(symmetrise(crystal))
        tensor = kind.form.cartesian(value)
        for turn in group:
            turned = tensor
            for place in range(kind.form.rank):
                turned = np.moveaxis(np.tensordot(turn, turned, axes=(1, place)), 0, place)
            assert np.abs(turned - tensor).max() < 1e-12, number


@each
def test_what_symmetry_allows_is_there(name: str) -> None:
    """Where a crystal may have a part with a direction, and neighbours, an untrained one has it."""
    form, isotropic = FORMS[name], FORMS[name].isotropic
    outputs = said(network(name), graphs(), name, torch.float64)[0]
    for number, value, crystal, edges in zip(
        GROUPS, outputs, CRYSTALS, np.diff(graphs().edge_ptr), strict=True
    ):
        free = round(float(np.trace(form.invariant(point_group(symmetrise(crystal))))))
        if edges and free > isotropic:
            assert np.linalg.norm(value[isotropic:]) > 1e-9, number


@each
def test_a_tensor_turns_with_its_crystal(name: str) -> None:
    form, turn = FORMS[name], np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    moved = tuple(Crystal(one.numbers, one.frac, one.lattice @ turn.T) for one in CRYSTALS)
    model = network(name)
    first = said(model, graphs(), name, torch.float64)[0]
    other = said(model, built(moved, KIND), name, torch.float64)[0]
    turns = np.repeat(turn[None], len(first), axis=0)
    apart = np.abs(form.turned(first, turns) - other).max(axis=1)
    assert apart.max() < 1e-9 * np.abs(first).max()


@each
def test_orbits_give_what_all_atoms_give(name: str) -> None:
    """Also of l = 4 and of products: nothing is lost by merging atoms."""
    model, form = network(name), FORMS[name]
    first = said(model, graphs(), name, torch.float64)[0]
    whole = said(model, of_all_atoms(CRYSTALS, KIND), name, torch.float64)[0]
    frames = np.stack([symmetrise(one).frame for one in CRYSTALS])
    # the graphs of all atoms are in standard orientation
    assert np.abs(form.turned(whole, frames) - first).max() < 1e-9 * np.abs(first).max()


@each
def test_an_array_gives_what_its_members_give_alone(name: str) -> None:
    together = said(network(name, 2), graphs(), name, torch.float64)
    alone = said(network(name, 1), graphs(), name, torch.float64)
    assert np.abs(together[:1] - alone).max() < 1e-12


def test_a_network_of_order_zero_has_a_scalar_on_the_diagonal() -> None:
    outputs = said(network("elastic", l_max=0), graphs(), "elastic", torch.float64)
    assert outputs.shape == (1, len(CRYSTALS), 2)
