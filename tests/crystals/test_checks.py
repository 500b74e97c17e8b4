"""Each check fires on what it is for, and lets good crystals pass."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from trainables.crystals.checks import check, check_closest, check_distances, closest_pair
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


def test_neighbour_arrays_name_the_closest_pair() -> None:
    first, second = np.array([0, 1, 2]), np.array([1, 0, 1])
    distance = np.array([2.0, 0.4, 0.3])
    numbers = np.array([11, 17, 8], dtype=np.uint8)
    with pytest.raises(BadCrystal, match=r"Cl2 and O3 are 0\.300 Å apart"):
        check_distances(numbers, first, second, distance)
    check_distances(numbers, first, second, np.array([2.0, 0.5, 0.5]))
    check_distances(numbers, first[:0], second[:0], distance[:0])


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
