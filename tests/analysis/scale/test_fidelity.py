"""How well a scale keeps relations, and the scales that others made."""

from __future__ import annotations

import json
from pathlib import Path

import elementembeddings
import numpy as np
import pytest

from analysis.elements import NUMBERS
from analysis.scale.fidelity import MODIFIED_PETTIFOR, fidelity, known_scales


def test_a_perfect_scale() -> None:
    line = np.random.default_rng(0).random(12).cumsum()
    apart = np.abs(line[:, None] - line[None])
    nearness = np.where(apart > 0, 1 / (1 + apart), 0.0)
    found = fidelity(3 * line + 7, nearness, apart)
    assert found.elements == 12
    assert found.stress == pytest.approx(0.0, abs=1e-12)
    assert found.spearman == pytest.approx(1.0)
    assert found.neighbours == 1.0


def test_a_shuffled_one_is_worse() -> None:
    line = np.random.default_rng(0).random(30).cumsum()
    apart = np.abs(line[:, None] - line[None])
    nearness = np.where(apart > 0, 1 / (1 + apart), 0.0)
    found = fidelity(np.random.default_rng(1).permutation(line), nearness, apart)
    assert found.stress > 0.5
    assert abs(found.spearman) < 0.3
    assert found.neighbours < 0.5


def test_neighbours_by_hand() -> None:
    """The first two are next to each other, the last two at the two ends."""
    nearness = np.zeros((4, 4))
    nearness[0, 1] = nearness[1, 0] = 1.0
    nearness[2, 3] = nearness[3, 2] = 1.0
    found = fidelity(np.array([1.0, 2.0, 3.1, 0.0]), nearness, 1 - nearness)
    assert found.neighbours == pytest.approx(1 / 2)


def test_the_modified_pettifor_order_is_the_one_that_elementembeddings_ships() -> None:
    folder = Path(elementembeddings.__file__).parent / "data" / "element_representations"
    shipped = json.loads((folder / "mod_petti.json").read_text())
    ours = known_scales()[MODIFIED_PETTIFOR]
    theirs = {NUMBERS[s]: n for s, n in shipped.items() if s in NUMBERS and NUMBERS[s] in ours}
    assert len(ours) == len(theirs) == 103
    assert sorted(ours, key=ours.__getitem__) == sorted(theirs, key=theirs.__getitem__)


def test_known_scales_have_no_two_elements_in_one_place() -> None:
    scales = known_scales()
    assert list(scales) == ["atomic number", "Pettifor", "modified Pettifor", "Mendeleev number"]
    for places in scales.values():
        assert len(places) >= 103
        assert len(set(places.values())) == len(places)
