"""Graphs of slabs: local geometry against a double loop, and what may not change it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tests.models.slabs_for_tests import CHANGES, SLABS, slabs
from trainables.crystals.crystal import Crystal
from trainables.models.tensor_head import harmonics_of
from trainables.representations.environment import NEAREST, environments
from trainables.representations.graph import milli
from trainables.representations.orbit_graph import OrbitGraph
from trainables.representations.slab_graph import SlabGraphs
from trainables.testing.crystals import crystal, listed_anew, named_crystals, rotated
from trainables.testing.representations import RepresentationContract
from trainables.testing.samples import batch_of, built

CASES = list(product(slabs(), CHANGES))


class TestSlabGraph(RepresentationContract):
    representation = SLABS


def slow(one: Crystal, atom: int, unit: float) -> np.ndarray:
    """The features by loops over atoms and images, with shells sorted as tuples."""
    cells = [np.array([i, j, 0]) for i in range(-4, 5) for j in range(-4, 5)]

    def near(place: np.ndarray) -> list[np.ndarray]:
        found = []
        for frac in one.frac:
            for cell in cells:
                vector = (frac + cell) @ one.lattice - place
                if np.linalg.norm(vector) > 1e-9:
                    found.append(vector)
        found.sort(key=lambda vector: float(np.linalg.norm(vector)))
        last = milli(np.linalg.norm(found[NEAREST - 1]))
        return [vector for vector in found if milli(np.linalg.norm(vector)) <= last]

    home = one.frac[atom] @ one.lattice
    blocks = []
    for first in near(home):
        seen = []
        for second in near(home + first):
            cosine = -first @ second / np.linalg.norm(first) / np.linalg.norm(second)
            seen.append((int(milli(np.linalg.norm(second))), int(milli(cosine))))
        blocks.append((int(milli(np.linalg.norm(first))), sorted(seen)[:NEAREST]))
    rows = [
        (step / unit, distance / unit, cosine)
        for step, seen in sorted(blocks)[:NEAREST]
        for distance, cosine in seen
    ]
    return np.array(rows).ravel() / 1000


@pytest.mark.parametrize("name", slabs())
def test_local_geometry_is_that_of_a_double_loop(name: str) -> None:
    one = slabs()[name]
    found = environments(one, np.arange(len(one.numbers)), 8.0)
    wanted = [slow(one, atom, 8.0) for atom in range(len(one.numbers))]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_a_layer_of_few_atoms_has_eleven_neighbours() -> None:
    """However far away they are."""
    one = crystal([10], [(0, 0, 0.5)], np.diag([11.0, 11.0, 40.0]))
    found = environments(one, np.array([0]), 1.0).reshape(NEAREST, NEAREST, 3)
    assert found[:4, 0, 0] == pytest.approx(11) and found[8:, 0, 0] == pytest.approx(22)


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
