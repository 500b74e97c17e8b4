"""Graphs of slabs: local geometry against loops, its continuity, and what may not change it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tests.models.slabs_for_tests import CHANGES, SLABS, slabs
from trainables.crystals.crystal import Crystal
from trainables.crystals.parsing import parse
from trainables.crystals.slabs import GeneratedSlabs
from trainables.models.tensor_head import harmonics_of
from trainables.representations.environment import NEAREST, REACH, environments
from trainables.representations.orbit_graph import OrbitGraph
from trainables.representations.slab_graph import SlabGraphs
from trainables.testing.crystals import crystal, listed_anew, named_crystals, rotated
from trainables.testing.representations import RepresentationContract
from trainables.testing.samples import batch_of, built

CASES = list(product(slabs(), CHANGES))


class TestSlabGraph(RepresentationContract):
    representation = SLABS


def slow(one: Crystal, atom: int, unit: float) -> np.ndarray:
    """The features by loops over ranks, atoms and images."""
    cells = [np.array([i, j, 0]) for i in range(-4, 5) for j in range(-4, 5)]

    def near(place: np.ndarray) -> list[np.ndarray]:
        found = []
        for frac in one.frac:
            for cell in cells:
                vector = (frac + cell) @ one.lattice - place
                if np.linalg.norm(vector) > 1e-9:
                    found.append(vector)
        return sorted(found, key=lambda vector: float(np.linalg.norm(vector)))

    def about(vectors: list[np.ndarray], rank: int) -> list[tuple[float, np.ndarray]]:
        middle = np.linalg.norm(vectors[rank])
        found = []
        for vector in vectors:
            apart = abs(np.linalg.norm(vector) - middle) / REACH
            if apart < 1:
                found.append(((1 - apart**2) ** 3, vector))
        total = sum(weight for weight, _ in found)
        return [(weight / total, vector) for weight, vector in found]

    home = one.frac[atom] @ one.lattice
    first = near(home)
    rows = []
    for r, s in product(range(NEAREST), repeat=2):
        distance = cosine = 0.0
        for weight, i_to_j in about(first, r):
            second = near(home + i_to_j)
            distance += weight * float(np.linalg.norm(second[s]))
            for share, j_to_k in about(second, s):
                lengths = np.linalg.norm(i_to_j) * np.linalg.norm(j_to_k)
                cosine -= weight * share * float(i_to_j @ j_to_k / lengths)
        rows.append((np.linalg.norm(first[r]) / unit, distance / unit, cosine))
    return np.array(rows).ravel()


@pytest.mark.parametrize("name", slabs())
def test_local_geometry_is_that_of_a_double_loop(name: str) -> None:
    one = slabs()[name]
    found = environments(one, np.arange(len(one.numbers)), 8.0)
    np.testing.assert_allclose(found[-1], slow(one, len(one.numbers) - 1, 8.0), atol=1e-5)


def test_a_layer_of_few_atoms_has_eleven_neighbours() -> None:
    """However far away they are."""
    one = crystal([10], [(0, 0, 0.5)], np.diag([11.0, 11.0, 40.0]))
    found = environments(one, np.array([0]), 1.0).reshape(NEAREST, NEAREST, 3)
    assert found[:4, 0, 0] == pytest.approx(11) and found[8:, 0, 0] == pytest.approx(22)


def seen(one: Crystal) -> np.ndarray:
    """Features of all its atoms."""
    return environments(one, np.arange(len(one.numbers)), 8.0)


def moved(one: Crystal, shifts: np.ndarray) -> Crystal:
    """With atoms elsewhere by some Å."""
    return Crystal(one.numbers, one.frac + shifts @ np.linalg.inv(one.lattice), one.lattice)


def test_noise_moves_features_less_than_another_material_does() -> None:
    draw = np.random.default_rng(0)
    crystals = [parse(entry) for entry in GeneratedSlabs(60).entries()][::5]
    found = [seen(one) for one in crystals]
    means = np.array([one.mean(axis=0) for one in found])
    apart = np.linalg.norm(means[:, None] - means, axis=2) + 9 * np.eye(len(means))
    for one, before, nearest in zip(crystals, found, apart.min(axis=1), strict=True):
        change = seen(moved(one, draw.normal(0, 1e-3, one.frac.shape))) - before
        assert np.abs(change).max() < 0.02
        assert np.linalg.norm(change.mean(axis=0)) < 0.1 * nearest


def test_features_do_not_jump_where_neighbours_change_places() -> None:
    """A quarter of a step of an atom past its ties makes about a quarter of the change."""
    one = slabs()["MoSSe"]
    along = np.zeros((3, 3))
    along[1, :2] = 1.0, 0.3  # breaks the ties of all shells at 0, and no mirror undoes it

    def change(step: float) -> float:
        ends = [seen(moved(one, part * step * along)) for part in (-0.25, 0.75)]
        return float(np.abs(ends[1] - ends[0]).max())

    assert change(0.004) < 0.02
    assert 0 < change(0.001) < 0.3 * change(0.004)


def test_an_eleventh_neighbour_that_another_replaces_does_not_jump() -> None:
    """Beside ten nearer ones, of two at 5 Å in unlike directions the nearer by a hair."""
    angles = np.arange(9) * 2 * np.pi / 9
    ten = [*(3 * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)), (0, 0, 4.0)]

    def at(further: float) -> np.ndarray:
        places = [(0, 0, 0), *ten, (0, 0, -5.0 - further), (0, 4.0, -3.0)]
        return seen(crystal([6] * 13, np.array(places) / 40 + 0.5, np.diag([40.0] * 3)))[0]

    np.testing.assert_allclose(at(2e-3), at(-2e-3), atol=0.02)
    assert np.abs(at(0.4) - at(-0.4)).max() > 0.1


def rows_of(graphs: SlabGraphs) -> list[tuple[float, ...]]:
    """The shares of atoms with their features, in an order of their own."""
    share = graphs.multiplicity / graphs.multiplicity.sum()
    pairs = zip(graphs.z, graphs.environment, share, strict=True)
    found: dict[tuple[float, ...], float] = {}
    for z, values, own in pairs:
        key = (float(z), *values.tolist())
        found[key] = found.get(key, 0.0) + float(own)
    return sorted((round(own, 9), *key) for key, own in found.items())


@pytest.mark.parametrize(("name", "change"), CASES)
def test_the_description_does_not_matter(name: str, change: str) -> None:
    """Features have the same bits."""
    one, other = (built([it], SLABS) for it in (slabs()[name], CHANGES[change](slabs()[name])))
    assert isinstance(one, SlabGraphs) and isinstance(other, SlabGraphs)
    assert rows_of(one) == rows_of(other)


def test_numbers_are_the_same_for_crystals_of_all_symmetries() -> None:
    for name, one in named_crystals().items():
        other = listed_anew(rotated(one, 2), 3)
        both = (built([it], SLABS) for it in (one, other))
        first, second = (rows_of(it) for it in both if isinstance(it, SlabGraphs))
        assert first == second, name


def test_directions_are_the_harmonics_that_sites_allow() -> None:
    crystals = [*named_crystals().values(), *slabs().values()]
    orbits = OrbitGraph(name="orbits-r8", version=1, cutoff=8.0, max_neighbours=None)
    wanted = harmonics_of(batch_of(built(crystals, orbits)), 1).numpy()
    found = built(crystals, SLABS)
    assert isinstance(found, SlabGraphs)
    np.testing.assert_allclose(found.direction[:, [1, 2, 0]], wanted, atol=1e-12)


def test_only_crystals_of_polar_groups_allow_a_vector() -> None:
    found = built(list(slabs().values()), SLABS)
    assert isinstance(found, SlabGraphs)
    traces = np.trace(found.polar, axis1=1, axis2=2)
    # of -6m2 nothing, of 3m the axis, of p4mm the axis, of the last all
    assert traces == pytest.approx([0, 1, 1, 3], abs=1e-12)
