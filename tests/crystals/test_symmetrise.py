"""Space groups in standard orientation, and crystals made exactly symmetric."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import spglib

from tests.crystals.symmetric_crystals import GROUPS, of_group
from trainables.crystals.crystal import Crystal
from trainables.crystals.parsing import parse
from trainables.crystals.sources.matbench import MatBench
from trainables.representations import symmetrise as module
from trainables.representations.space_group import first_setting, space_group, turn_of, turns
from trainables.representations.symmetrise import (
    LADDER,
    Symmetrised,
    symmetrise,
    unsymmetrised,
    within,
)
from trainables.testing.crystals import (
    crystal,
    in_cell,
    listed_anew,
    named_crystals,
    rotated,
    triclinic,
)

CRYSTALS = {**named_crystals(), **{str(group): of_group(group) for group in GROUPS}}

# Cubic crystals; of all but the last two, an atom is the only one of its element.
CUBIC = {
    "NaCl": crystal([11, 17], [(0, 0, 0), (0.5,) * 3], 2.8 * (1 - np.eye(3))),
    "conventional NaCl": CRYSTALS["NaCl"],
    "Cu": CRYSTALS["Cu"],
    "SrTiO3": CRYSTALS["SrTiO3"],
    "W": crystal([74] * 2, [(0, 0, 0), (0.5,) * 3], 3.2 * np.eye(3)),
    "CsCl": crystal([55, 17], [(0, 0, 0), (0.5, 0.5, 0.5)], 4.1 * np.eye(3)),
    "zincblende": crystal([30, 16], [(0, 0, 0), (0.25,) * 3], 2.7 * (1 - np.eye(3))),
    **{name: CRYSTALS[name] for name in ("225", "216", "221", "229", "227", "MgAl2O4")},
}
SHORT = list(CUBIC)[:-2]


# ------------------------------------------------------------------------------------- groups


def test_the_rotations_are_64_and_orthogonal() -> None:
    every = turns()
    assert every.shape == (64, 3, 3) and np.array_equal(every[0], np.eye(3))
    assert np.abs(every @ every.swapaxes(1, 2) - np.eye(3)).max() < 1e-15
    assert len(np.unique(every.round(6), axis=0)) == 64
    assert len(turn_of(every)) == 64


def test_a_rotation_in_another_orientation_is_refused() -> None:
    with pytest.raises(ValueError, match="no crystal in standard orientation"):
        turn_of(np.array([[[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1.0]]]))


def test_a_setting_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="spglib has no setting 531"):
        space_group(531)


@pytest.mark.parametrize("number", range(1, 231))
def test_a_group_is_closed_and_has_its_order(number: int) -> None:
    group = space_group(first_setting(number))
    assert group.number == number
    assert np.array_equal(group.rotation[0], np.eye(3)) and group.turn[0] == 0
    listed = spglib.get_symmetry_from_database(first_setting(number))
    centrings = round(1 / np.linalg.det(group.primitive))
    assert len(group.turn) * centrings == len(listed["rotations"])
    place = {turn: at for at, turn in enumerate(group.turn.tolist())}
    for at, (rotation, translation) in enumerate(
        zip(group.rotation, group.translation, strict=True)
    ):
        products = place_of(group.turn[at], group.turn)
        found = [place[turn] for turn in products]
        assert np.array_equal(rotation @ group.rotation, group.rotation[found])
        apart = group.translation @ rotation.T + translation - group.translation[found]
        assert np.abs(apart - apart.round()).max() < 1e-12


def place_of(one: int, others: np.ndarray) -> list[int]:
    """The turns that are the products of one with others."""
    return [int(turn) for turn in turn_of(turns()[one] @ turns()[others])]


# ----------------------------------------------------------------------------------- crystals


def demand_exact(one: Symmetrised, given: Crystal) -> None:
    """The group acts on the atoms, in standard orientation, and the crystal is the given one."""
    made, group = one.crystal, one.group
    carried = made.frac @ group.rotation.swapaxes(1, 2) + group.translation[:, None]
    assert np.abs(carried - made.frac[one.image] - one.cell).max() < 1e-13
    assert (made.numbers[one.image] == made.numbers).all()
    assert ((made.frac >= 0) & (made.frac < 1)).all()
    columns = made.lattice.T
    turned = columns @ group.rotation @ np.linalg.inv(columns)
    assert np.abs(turned - turns()[group.turn]).max() < 1e-12
    assert np.array_equal(made.numbers[one.primitive], given.numbers)
    assert np.array_equal(one.image[one.by, one.first], np.arange(len(one.first)))
    assert np.abs(one.frame @ one.frame.T - np.eye(3)).max() < 1e-12
    assert np.linalg.det(one.frame) > 0


@pytest.mark.parametrize("name", CRYSTALS)
def test_a_symmetrised_crystal_is_exact_and_the_given_one(name: str) -> None:
    given = rotated(listed_anew(CRYSTALS[name], 2), 3)
    one = symmetrise(given)
    demand_exact(one, given)
    assert one.symprec == LADDER[0] and one.moved < 1e-6
    # up to one shift of all atoms, and by vectors of the lattice
    apart = given.frac @ given.lattice @ one.frame - (
        one.crystal.frac[one.primitive] @ one.crystal.lattice
    )
    cells = (apart - apart[0]) @ np.linalg.inv(one.crystal.lattice)
    assert np.abs(cells - cells.round()).max() < 1e-6


@pytest.mark.parametrize(
    ("number", "mirrored"), [(92, 96), (152, 154), (180, 181), (212, 213), (19, 19), (225, 225)]
)
def test_a_mirror_image_has_the_enantiomorphic_group(number: int, mirrored: int) -> None:
    """The frame stays a proper rotation, also where the given cell is left-handed."""
    one = CRYSTALS[str(number)]
    image = Crystal(one.numbers, one.frac, one.lattice * np.array([1.0, 1.0, -1.0]))
    assert symmetrise(image).group.number == mirrored
    demand_exact(symmetrise(image), image)


def test_a_supercell_is_reduced_and_its_atoms_are_known() -> None:
    given = in_cell(CRYSTALS["227"], [[1, 1, 0], [-1, 1, 0], [0, 0, 2]])
    one = symmetrise(given)
    demand_exact(one, given)
    assert len(one.crystal.numbers) * 4 == len(given.numbers)
    assert (np.bincount(one.primitive) == 4).all()


def test_noise_is_averaged_over_the_group() -> None:
    """So the mean of many atoms is nearer to the exact place than each of them."""
    exact, rng = CRYSTALS["225"], np.random.default_rng(1)
    noise = rng.normal(size=exact.frac.shape) * 1e-3
    given = Crystal(exact.numbers, exact.frac + noise @ np.linalg.inv(exact.lattice), exact.lattice)
    one = symmetrise(given)
    demand_exact(one, given)
    assert one.group.number == 225
    assert 5e-4 < one.moved < 5e-3
    assert one.moved == pytest.approx(np.linalg.norm(noise - noise.mean(axis=0), axis=1).max(), 0.6)


def test_a_smaller_tolerance_serves_where_a_larger_one_moves_too_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = displaced(0.03)
    monkeypatch.setattr(module, "LADDER", (0.1, 1e-3))
    coarse = within(given, 0.1)
    assert coarse is not None and coarse.group.number == 221 and coarse.moved > module.FARTHEST
    one = symmetrise(given)
    assert one.symprec == 1e-3 and one.group.number == 99 and one.moved < 1e-6
    demand_exact(one, given)


def test_a_crystal_that_every_tolerance_moves_too_far_keeps_its_cell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = displaced(0.03)
    monkeypatch.setattr(module, "LADDER", (0.1,))
    one = symmetrise(given)
    assert (one.symprec, one.group.number, one.moved) == (0.0, 1, 0.0)
    assert np.array_equal(one.crystal.lattice, given.lattice)
    demand_exact(one, given)


def displaced(by: float) -> Crystal:
    """A cubic perovskite whose middle atom is off its place along z, by some Å."""
    exact = named_crystals()["SrTiO3"]
    frac = exact.frac.copy()
    frac[list(exact.numbers).index(22)] += [0, 0, by / exact.lattice[2, 2]]
    return Crystal(exact.numbers, frac, exact.lattice)


@pytest.mark.parametrize(
    "answer",
    [None, spglib.SpglibError("nothing found")],
    ids=["none", "error"],
)
def test_without_an_answer_the_cell_is_kept(
    answer: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_answer(*_: object, **__: object) -> None:
        if answer is not None:
            raise answer

    monkeypatch.setattr(module.spglib, "get_symmetry_dataset", no_answer)
    given = triclinic(5, seed=1)
    assert symmetrise(given).symprec == 0
    demand_exact(symmetrise(given), given)


def test_a_group_that_puts_two_atoms_on_one_place_is_none() -> None:
    """Two atoms that are nearer to each other than the images of either to the other."""
    frac = np.array([[0.1, 0.2, 0.3], [0.12, 0.2, 0.3]])
    group = space_group(first_setting(47))
    assert module._images(frac, np.array([8, 8]), 5.0 * np.eye(3), group) is None


def test_a_tolerance_whose_group_does_not_permute_the_atoms_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_images", lambda *_: None)
    assert within(CRYSTALS["225"], 1e-2) is None
    assert symmetrise(CRYSTALS["225"]).symprec == 0


@pytest.mark.parametrize("name", CUBIC)
def test_cubic_crystals_are_the_same_with_and_without_a_search(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = rotated(listed_anew(CUBIC[name], 2), 3)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_found", lambda *_: None)
        short = within(given, 1e-2)
    monkeypatch.setattr(module, "_cubic", lambda *_: iter(()))
    long = within(given, 1e-2)
    assert long is not None
    demand_exact(long, given)
    if name not in SHORT:
        assert short is None
        return
    assert short is not None
    demand_exact(short, given)
    assert short.group is long.group
    assert np.allclose(short.crystal.lattice, long.crystal.lattice, atol=1e-12)
    assert np.array_equal(np.sort(np.bincount(short.first)), np.sort(np.bincount(long.first)))
    for one in (short, long):
        vectors = one.crystal.frac[one.primitive] @ one.crystal.lattice @ one.frame.T
        apart = vectors - given.frac @ given.lattice
        cells = (apart - apart[0]) @ one.frame @ np.linalg.inv(one.crystal.lattice)
        assert np.abs(cells - cells.round()).max() < 1e-9


def test_crystals_that_are_not_clearly_of_the_largest_groups_are_searched() -> None:
    stretched = Crystal(
        CUBIC["CsCl"].numbers, CUBIC["CsCl"].frac, CUBIC["CsCl"].lattice * [[1], [1], [1.01]]
    )
    assert list(module._cubic(stretched, 1e-3)) == [] and symmetrise(stretched).group.number == 123
    assert list(module._cubic(CRYSTALS["227"], 1e-3)) == []  # no atom is the only one
    slightly = displaced(4e-3)  # spglib decides
    assert symmetrise(slightly).group.number == 221 and symmetrise(slightly).moved > 1e-3


def test_phonons_have_the_groups_that_are_searched(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shared_data / "matbench_phonons.json.gz"
    if not path.exists():
        pytest.skip(f"no real data: {path.name} is not in {shared_data.name}/")
    crystals = [parse(entry) for entry in islice(MatBench(path).entries(), 0, None, 8)]
    ours = [symmetrise(one) for one in crystals]
    monkeypatch.setattr(module, "_cubic", lambda *_: iter(()))
    for one, given in zip(ours, crystals, strict=True):
        assert one.symprec == LADDER[0]
        demand_exact(one, given)
        assert one.group is symmetrise(given).group


def test_many_atoms_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    given = CRYSTALS["230"]
    whole = symmetrise(given)
    monkeypatch.setattr(module, "AT_ONCE", 100)
    assert np.array_equal(symmetrise(given).image, whole.image)


def test_coordinates_just_below_a_cell_are_inside_it() -> None:
    frac = module.into_cell(np.array([[-1e-20, 1.0, -0.25]]))
    assert frac.tolist() == [[0.0, 0.0, 0.75]]


def test_an_unsymmetrised_crystal_has_all_its_atoms() -> None:
    given = CRYSTALS["225"]
    demand_exact(unsymmetrised(given), given)
