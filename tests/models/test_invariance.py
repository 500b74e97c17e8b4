"""Invariance of predictions, and the exceptions caused by the cut at 12 neighbours."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from tests.crystals_for_tests import (
    BACKBONES,
    batch_of,
    crystal,
    graphs_of,
    in_cell,
    listed_anew,
    made_up,
    model_of,
    named_crystals,
    rotated,
    triclinic,
)
from trainables.crystals.crystal import Crystal
from trainables.representations.quotient import quotient

CRYSTALS = [*named_crystals().values(), *made_up(8), triclinic(5, 1), triclinic(6, 2)]
CELLS = {
    "2x1x1": [[2, 0, 0], [0, 1, 0], [0, 0, 1]],
    "2x2x1": [[2, 0, 0], [0, 2, 0], [0, 0, 1]],
    "skewed": [[1, 1, 0], [0, 1, 0], [2, -1, 1]],
    "skewed and doubled": [[1, 1, 0], [-1, 1, 0], [0, 1, 1]],
}


@pytest.fixture(params=BACKBONES)
def backbone(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[True, False], ids=["quotient", "full graph"])
def small(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@cache
def settled(backbone: str) -> nn.Module:
    """A model that has learnt to tell the crystals apart."""
    model = model_of(backbone, ["0", "H"])
    batch = batch_of(quotient(graphs_of(CRYSTALS, backbone)))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(40):
        optimiser.zero_grad()
        (model(batch) - batch.target).abs().sum().backward()
        optimiser.step()
    return model.eval()


def predicted(
    model: nn.Module, backbone: str, crystals: list[Crystal], small: bool
) -> torch.Tensor:
    graphs = graphs_of(crystals, backbone)
    with torch.no_grad():
        return model(batch_of(quotient(graphs) if small else graphs))


def change(backbone: str, changed: list[Crystal], crystals: list[Crystal], small: bool) -> float:
    model = settled(backbone)
    before = predicted(model, backbone, crystals, small)
    assert float(before.std(dim=1).min()) > 0.1
    return float((predicted(model, backbone, changed, small) - before).abs().max())


def test_order_of_atoms(backbone: str, small: bool) -> None:
    anew = [listed_anew(one, seed) for seed, one in enumerate(CRYSTALS)]
    assert change(backbone, anew, CRYSTALS, small) < 1e-10


def test_rotation(backbone: str, small: bool) -> None:
    turned = [rotated(one, seed) for seed, one in enumerate(CRYSTALS)]
    assert change(backbone, turned, CRYSTALS, small) < 1e-10


def test_mirror(backbone: str, small: bool) -> None:
    mirrored = [Crystal(one.numbers, one.frac, one.lattice * [1, 1, -1]) for one in CRYSTALS]
    assert change(backbone, mirrored, CRYSTALS, small) < 1e-10


def test_origin(backbone: str, small: bool) -> None:
    shift = np.array([0.3, -0.7, 1.9])
    moved = [Crystal(one.numbers, one.frac + shift, one.lattice) for one in CRYSTALS]
    assert change(backbone, moved, CRYSTALS, small) < 1e-10


@pytest.mark.parametrize("cell", CELLS)
def test_choice_of_the_cell(backbone: str, small: bool, cell: str) -> None:
    chosen = [in_cell(one, CELLS[cell]) for one in CRYSTALS]
    assert change(backbone, chosen, CRYSTALS, small) < 1e-10


def test_crystals_beside_it_in_the_batch(backbone: str, small: bool) -> None:
    model = settled(backbone)
    together = predicted(model, backbone, CRYSTALS, small)
    backwards = predicted(model, backbone, CRYSTALS[::-1], small).flip(1)
    alone = [predicted(model, backbone, [one], small) for one in CRYSTALS]
    assert (together - backwards).abs().max() < 1e-10
    assert (together - torch.cat(alone, dim=1)).abs().max() < 1e-10


def test_a_change_that_matters_is_seen(backbone: str, small: bool) -> None:
    stretched = [Crystal(one.numbers, one.frac, one.lattice * 1.01) for one in CRYSTALS]
    heavier = [Crystal(one.numbers + 1, one.frac, one.lattice) for one in CRYSTALS]
    assert change(backbone, stretched, CRYSTALS, small) > 1e-4
    assert change(backbone, heavier, CRYSTALS, small) > 1e-4


def layered_salt() -> Crystal:
    """Caesium chloride with bromine in every third layer of chlorine."""
    caesium = [(0, 0, 0), (0, 0, 1 / 3), (0, 0, 2 / 3)]
    anions = [(0.5, 0.5, 1 / 6), (0.5, 0.5, 1 / 2), (0.5, 0.5, 5 / 6)]
    return crystal([55, 55, 55, 17, 35, 17], [*caesium, *anions], np.diag([4.12, 4.12, 12.36]))


def test_limit_of_the_cut_at_twelve_neighbours(backbone: str) -> None:
    """Whether order and cell may affect CGCNN's graph, by the definition of that graph.

    The cut at 12 neighbours falls among neighbours of one element at one distance that are not
    equivalent. In the layered salt each caesium has 8 anions and then 6 caesium neighbours at a, of
    which 4 are kept in the order in which the atoms are listed; 4 lie in its own layer and 2 in
    layers with other anions. Of the 1 265 crystals of MatBench's phonons this befalls 29 (2 %), of
    the embedded ionic set none. MEGNet's graph knows no cut, so it has no such limit.
    """
    one = layered_salt()
    anew = [listed_anew(one, seed) for seed in range(6)]
    anew += [in_cell(one, CELLS["2x1x1"])]
    difference = change(backbone, [*CRYSTALS, *anew], [*CRYSTALS, *[one] * 7], small=True)
    if backbone == "cgcnn":
        assert difference > 1e-4
    else:
        assert difference < 1e-10
