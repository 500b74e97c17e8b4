"""Each check fires on what it is for, and lets good crystals pass."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from trainables.crystals.checks import (
    check,
    check_closest,
    check_distances,
    closest_pair,
    covalent_sums,
)
from trainables.crystals.crystal import BadCrystal, Crystal


def crystal(numbers: list[int], frac: object, lattice: object = None) -> Crystal:
    cell = 4.0 * np.eye(3) if lattice is None else np.array(lattice, dtype=float)
    places = np.array(frac, dtype=float).reshape(-1, 3)
    return Crystal(np.array(numbers, dtype=np.uint8), places, cell)


GOOD = crystal([11, 17], [[0, 0, 0], [0.5, 0.5, 0.5]])


def refused(bad: Crystal, words: str) -> None:
    with pytest.raises(BadCrystal, match=words):
        check(bad)


def test_a_good_crystal_passes() -> None:
    check(GOOD)
    check_closest(GOOD)


def test_no_atoms() -> None:
    refused(crystal([], []), "no atoms")


def test_too_many_atoms_name_the_flag() -> None:
    many = crystal([6] * 1001, np.zeros((1001, 3)))
    refused(many, "1001 of at most 1000.*--max-atoms")
    check(many, max_atoms=1001)


@pytest.mark.parametrize("number", [0, 119, 255])
def test_unknown_element(number: int) -> None:
    refused(crystal([11, number], [[0, 0, 0], [0.5, 0.5, 0.5]]), f"unknown element.*{number}")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_coordinates_that_are_not_finite(value: float) -> None:
    refused(crystal([11, 17], [[0, 0, 0], [0.5, value, 0.5]]), r"not finite: atom 2 \(Cl\)")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_lattice_that_is_not_finite(value: float) -> None:
    refused(crystal([11], [[0, 0, 0]], [[4, 0, 0], [0, value, 0], [0, 0, 4]]), "lattice is not")


def test_coordinates_out_of_range() -> None:
    refused(crystal([11], [[1e9, 0, 0]]), "out of range")


@pytest.mark.parametrize(
    "cell",
    [np.zeros((3, 3)), [[4, 0, 0], [8, 0, 0], [0, 0, 4]], [[1, 2, 3], [4, 5, 6], [7, 8, 9]]],
)
def test_zero_volume(cell: object) -> None:
    refused(crystal([11], [[0, 0, 0]], cell), "zero volume|too thin")


def test_thin_cell() -> None:
    refused(crystal([11], [[0, 0, 0]], [[4, 0, 0], [0, 0.4, 0], [0, 0, 4]]), "0.4 Å along b")
    # Long vectors, but almost parallel: thin all the same.
    refused(crystal([11], [[0, 0, 0]], [[4, 0, 0], [4, 0.4, 0], [0, 0, 4]]), "too thin")


def test_atoms_too_close_across_the_cell_wall() -> None:
    bad = crystal([11, 17], [[0.01, 0.5, 0.5], [0.99, 0.5, 0.5]])
    check(bad)
    with pytest.raises(BadCrystal, match=r"Na1 and Cl2 are 0\.080 Å apart"):
        check_closest(bad)


def test_neighbour_arrays_name_the_pair_that_is_nearest_for_its_elements() -> None:
    first, second = np.array([0, 1, 2]), np.array([1, 0, 1])
    numbers = np.array([11, 17, 8], dtype=np.uint8)
    with pytest.raises(BadCrystal, match=r"Cl2 and O3 are 0\.300 Å apart, at least 0\.81 Å"):
        check_distances(numbers, first, second, np.array([2.0, 2.0, 0.3]))
    with pytest.raises(BadCrystal, match=r"Na1 and Cl2 are 1\.200 Å apart, at least 1\.27 Å"):
        check_distances(numbers, first, second, np.array([1.2, 2.0, 0.9]))
    check_distances(numbers, first, second, np.array([2.0, 1.3, 0.9]))
    check_distances(numbers, first[:0], second[:0], np.zeros(0))


def dimer(a: int, b: int, distance: float) -> Crystal:
    return crystal([a, b], [[0, 0, 0], [distance / 12, 0, 0]], 12.0 * np.eye(3))


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        (1, 1, 0.74),  # H2
        (1, 1, 0.8),  # metallic hydrogen
        (1, 9, 0.92),  # HF
        (7, 7, 1.10),
        (6, 8, 1.13),
        (3, 9, 1.56),  # LiF, a molecule
        (11, 11, 1.90),  # Na of hP4 at 300 GPa
        (19, 19, 2.5),  # K at 100 GPa
        (55, 55, 2.9),  # Cs at 50 GPa
        (92, 8, 1.75),  # uranyl
    ],
)
def test_short_bonds_that_exist_are_left_alone(a: int, b: int, distance: float) -> None:
    check_closest(dimer(a, b, distance))


def test_heavy_atoms_too_close_are_refused_where_light_ones_pass() -> None:
    with pytest.raises(BadCrystal, match=r"Bi1 and Bi2 are 1\.200 Å apart, at least 1\.51 Å"):
        check_closest(dimer(83, 83, 1.2))
    check_closest(dimer(6, 6, 1.2))
    # 36 in 61 Å³, evenly: no pair is below 0.5 Å
    grid = np.stack(np.meshgrid(*(np.arange(n) / n for n in (4, 3, 3)), indexing="ij"), -1)
    with pytest.raises(BadCrystal, match="Bi1 and Bi"):
        check_closest(crystal([83] * 36, grid, np.diag([4.4, 3.7, 3.75])))


def test_a_pair_that_is_not_the_nearest_may_be_the_bad_one() -> None:
    bad = crystal(
        [1, 1, 83, 83], [[0, 0, 0], [0.1, 0, 0], [0.5, 0.5, 0.4], [0.5, 0.5, 0.55]], 8 * np.eye(3)
    )
    with pytest.raises(BadCrystal, match="Bi3 and Bi4"):
        check_closest(bad)


def test_the_radii_are_those_of_their_source() -> None:
    from scripts.make_covalent_radii import OUT, table

    assert OUT.read_text() == table()
    assert np.array_equal(covalent_sums(), covalent_sums().T)
    assert covalent_sums()[83, 83] == pytest.approx(2 * 1.51)


def test_a_lone_atom_is_nearest_to_its_image() -> None:
    i, j, distance = closest_pair(crystal([11], [[0.3, 0.3, 0.3]], np.diag([3.0, 4.0, 5.0])))
    assert (i, j) == (0, 0)
    assert distance == pytest.approx(3.0)


@pytest.mark.parametrize("seed", range(12))
def test_closest_pair_agrees_with_pymatgen_in_skewed_cells(seed: int) -> None:
    random = np.random.default_rng(seed)
    lattice = Lattice(random.normal(size=(3, 3)) @ np.diag([6.0, 3.0, 1.5]))
    frac = random.uniform(-2, 2, size=(int(random.integers(1, 90)), 3))
    structure = Structure(lattice, ["C"] * len(frac), frac)
    found = closest_pair(Crystal(np.full(len(frac), 6, np.uint8), frac, lattice.matrix.copy()))
    *_, distances = structure.get_neighbor_list(found[2] + 1.0, exclude_self=True)
    assert found[2] == pytest.approx(distances.min(), abs=1e-9)
