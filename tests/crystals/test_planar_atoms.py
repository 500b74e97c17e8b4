"""Atoms along the normal of a slab: against a sum over atoms, and what may not change them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tests.models.slabs_for_tests import CHANGES, slabs
from trainables.crystals.crystal import Crystal
from trainables.crystals.potentials import Grid
from trainables.representations.planar_atoms import DEVIATION, planar_atoms
from trainables.testing.crystals import crystal

GRID = Grid(points=400, span=40.0)


def test_one_plane_is_a_gaussian_of_all_electrons_over_the_area() -> None:
    one = crystal([6, 7], [(0, 0, 0.98), (0.5, 0.5, 0.98)], np.diag([2.0, 3.0, 30.0]))
    gaussian = np.exp(-((GRID.z / DEVIATION) ** 2) / 2) / DEVIATION / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(planar_atoms(one, GRID), 13 / 6 * gaussian, atol=1e-12)


@pytest.mark.parametrize("name", slabs())
def test_they_are_a_sum_over_atoms_about_the_centre_of_its_square(name: str) -> None:
    one = slabs()[name]
    found = planar_atoms(one, GRID)
    a, b, c = one.lattice
    total = sum(
        number * np.exp(-(((GRID.z - (place - 0.5) * c[2]) / DEVIATION) ** 2) / 2)
        for number, place in zip(one.numbers.astype(float), one.frac[:, 2], strict=True)
    ) / (DEVIATION * np.sqrt(2 * np.pi) * np.linalg.norm(np.cross(a, b)))
    centre = GRID.z @ total**2 / (total**2).sum()
    np.testing.assert_allclose(found, np.interp(GRID.z + centre, GRID.z, total), atol=0.01)
    assert GRID.z @ found**2 == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("name", "change"), [*product(slabs(), [*CHANGES, "vacuum"])])
def test_the_description_does_not_matter(name: str, change: str) -> None:
    """Not even one in which the slab crosses the border of its cell."""
    one = slabs()[name]
    if change == "vacuum":
        other = Crystal(one.numbers, one.frac * [1, 1, 0.5], one.lattice * [[1], [1], [2]])
    else:
        other = CHANGES[change](one)
    found, wanted = planar_atoms(other, GRID), planar_atoms(one, GRID)
    np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_upside_down_they_are_reversed() -> None:
    one = slabs()["MoSSe"]
    other = Crystal(one.numbers, one.frac * [1, 1, -1], one.lattice)
    found = planar_atoms(one, GRID)
    np.testing.assert_allclose(planar_atoms(other, GRID), found[::-1], atol=1e-9)
    assert np.abs(found - found[::-1]).max() > 0.1
