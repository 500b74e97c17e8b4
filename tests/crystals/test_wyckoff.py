"""Prototypes: the same however a crystal is written down, and different where it differs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from trainables.crystals.crystal import BadCrystal, Crystal
from trainables.crystals.symbols import NUMBERS
from trainables.crystals.wyckoff import Prototype, _relabellings, find_prototype

CUBE = np.eye(3)


def crystal(symbols: list[str], frac: list[list[float]], cell: np.ndarray) -> Crystal:
    numbers = np.array([NUMBERS[symbol] for symbol in symbols], dtype=np.uint8)
    return Crystal(numbers, np.array(frac, dtype=np.float64) % 1.0, np.asarray(cell, dtype=float))


def perovskite(a: str, b: str, x: str, edge: float = 4.0) -> Crystal:
    faces = [[0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return crystal([a, b, x, x, x], [[0, 0, 0], [0.5] * 3, *faces], edge * CUBE)


def rock_salt(cation: str, anion: str, edge: float = 5.6) -> Crystal:
    cell = edge / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    return crystal([cation, anion], [[0, 0, 0], [0.5] * 3], cell)


def test_space_group_and_letters() -> None:
    found = find_prototype(perovskite("Ba", "Ti", "O"))
    assert found.group == 221
    assert {len(letters) for letters in found.letters.values()} == {1}
    assert find_prototype(rock_salt("Na", "Cl")).group == 225


def test_a_prototype_has_no_size() -> None:
    small, large = rock_salt("Na", "Cl", 5.0), rock_salt("Na", "Cl", 6.5)
    assert find_prototype(small).label() == find_prototype(large).label()


@pytest.mark.parametrize("shift", [(0.5, 0.5, 0.5), (0.5, 0.0, 0.0), (0.13, 0.71, 0.4)])
def test_the_origin_does_not_matter(shift: tuple[float, ...]) -> None:
    one = perovskite("Ba", "Ti", "O")
    moved = Crystal(one.numbers, (one.frac + shift) % 1.0, one.lattice)
    assert find_prototype(moved).label() == find_prototype(one).label()
    assert find_prototype(moved).slots() == find_prototype(one).slots()


def test_the_cell_and_the_order_of_atoms_do_not_matter() -> None:
    one = perovskite("Ba", "Ti", "O")
    double = Crystal(
        np.concatenate([one.numbers, one.numbers])[::-1].copy(),
        np.concatenate([one.frac / [1, 1, 2], one.frac / [1, 1, 2] + [0, 0, 0.5]])[::-1].copy(),
        one.lattice * [[1.0], [1.0], [2.0]],
    )
    assert find_prototype(double).label() == find_prototype(one).label()


def test_exchanged_elements_meet_in_one_slot() -> None:
    barium, strontium = (find_prototype(perovskite(a, "Ti", "O")) for a in ("Ba", "Sr"))
    assert barium.slots()[NUMBERS["Ba"]] == strontium.slots()[NUMBERS["Sr"]]
    assert barium.slots()[NUMBERS["Ti"]] != strontium.slots()[NUMBERS["Ti"]]
    salt, oxide = find_prototype(rock_salt("Na", "Cl")), find_prototype(rock_salt("Mg", "O"))
    assert not set(salt.slots().values()) & set(oxide.slots().values())


def test_the_two_cations_of_a_perovskite_are_told_apart() -> None:
    """A and B have the same site symmetry; how X lies about them differs."""
    right, swapped = (
        find_prototype(perovskite(*cations, "O")) for cations in (("Ba", "Ti"), ("Ti", "Ba"))
    )
    assert right.label() != swapped.label()
    assert right.slots()[NUMBERS["Ba"]] != swapped.slots()[NUMBERS["Ba"]]


def test_rock_salt_has_no_right_way_round() -> None:
    """Its two positions are alike, so only the names tell them apart."""
    one, other = find_prototype(rock_salt("Na", "Cl")), find_prototype(rock_salt("Cl", "Na"))
    assert one.label() == other.label()


@pytest.mark.parametrize("group", [1, 2, 62, 139, 166, 194, 221, 225, 227])
def test_relabellings_are_a_group(group: int) -> None:
    """Then the smallest text over all of them is the same for all equivalent occupations."""
    letters = sorted({chr(key) for table in _relabellings(group) for key in table})
    maps = {"".join(letters).translate(table) for table in _relabellings(group)}
    assert "".join(letters) in maps
    tables = [dict(zip(letters, image, strict=True)) for image in maps]
    for one, two in itertools.product(tables, repeat=2):
        assert "".join(two[one[letter]] for letter in letters) in maps


def test_every_relabelling_of_an_occupation_has_one_label() -> None:
    here = Prototype(221, {56: "b", 22: "a", 8: "d"})
    labels = {
        Prototype(221, {z: of.translate(table) for z, of in here.letters.items()}).label(22)
        for table in _relabellings(221)
    }
    assert len(labels) == 1


def test_two_atoms_in_one_place_have_no_prototype() -> None:
    with pytest.raises(BadCrystal, match="no space group"):
        find_prototype(crystal(["Na", "Na"], [[0, 0, 0], [0, 0, 0]], 4 * CUBE))
