"""The neighbour search against every image tried one by one, and against pymatgen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from pymatgen.core import Structure

from trainables.crystals.crystal import Crystal
from trainables.models.backbones import BACKBONES, representations
from trainables.representations.graph import CrystalGraph, Graphs, Neighbours, milli
from trainables.representations.neighbours import find_neighbours
from trainables.representations.quotient_graph import QuotientGraph
from trainables.testing.crystals import crystal, listed_anew, named_crystals, pairs, triclinic
from trainables.testing.samples import graphs_of

CRYSTALS = named_crystals() | {f"triclinic-{seed}": triclinic(5, seed) for seed in range(4)}
FLAT = crystal([26], [(0, 0, 0)], [[2.2, 0, 0], [6.0, 2.3, 0], [5.0, 7.0, 2.5]])
CRYSTALS["skewed"] = FLAT
each = pytest.mark.parametrize("name", CRYSTALS)


def edges(graphs: Graphs) -> list[tuple[int, int, int]]:
    return list(
        zip(graphs.dst.tolist(), graphs.distance.tolist(), graphs.src.tolist(), strict=True)
    )


def build_graphs(neighbours: Neighbours, kinds: Sequence[CrystalGraph]) -> list[Graphs]:
    return [Graphs.full(neighbours, kind) for kind in kinds]


def all_within(cutoff: float, *crystals: Crystal) -> Graphs:
    kinds = [QuotientGraph(name="all", version=1, cutoff=cutoff, max_neighbours=None)]
    return build_graphs(find_neighbours(crystals, kinds), kinds)[0]


def same(a: Neighbours | Graphs, b: Neighbours | Graphs) -> bool:
    return all(
        np.array_equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True)
    )


@each
@pytest.mark.parametrize("cutoff", [4.0, 8.0])
def test_all_pairs_within_the_cutoff(name: str, cutoff: float) -> None:
    found = edges(all_within(cutoff, CRYSTALS[name]))
    slow = [(i, int(milli(np.array(d))), j) for i, j, d in pairs(CRYSTALS[name], cutoff)]
    assert sorted(found) == sorted(slow)


@each
@pytest.mark.parametrize("cutoff", [4.0, 8.0])
def test_pymatgen_finds_the_same(name: str, cutoff: float) -> None:
    one = CRYSTALS[name]
    structure = Structure(one.lattice, one.numbers, one.frac)
    dst, src, _, distance = structure.get_neighbor_list(cutoff, exclude_self=True)
    theirs = zip(dst.tolist(), milli(distance).tolist(), src.tolist(), strict=True)
    assert sorted(edges(all_within(cutoff, one))) == sorted(theirs)


@each
def test_twelve_nearest_in_the_order_of_distance_z_and_index(name: str) -> None:
    one = CRYSTALS[name]
    wanted = []
    neighbours: list[list[tuple[int, int, int]]] = [[] for _ in one.numbers]
    for i, j, distance in pairs(one, 8.0):
        neighbours[i].append((int(milli(np.array(distance))), int(one.numbers[j]), j))
    for i, listed in enumerate(neighbours):
        wanted += [(i, distance, j) for distance, _, j in sorted(listed)[:12]]
    assert edges(graphs_of([one], "cgcnn")) == wanted


def test_ties_at_the_cut_prefer_the_lighter_then_the_earlier() -> None:
    # Four atoms in a row, 2.9 Å apart, in a cell too wide to matter: one neighbour on either side.
    row = [(0.5, 0.5, x) for x in (0.1, 0.3, 0.5, 0.7)]
    one = crystal([9, 26, 8, 26], row, np.diag([30.0, 30.0, 14.5]))
    nearest = [QuotientGraph(name="nn1", version=1, cutoff=8.0, max_neighbours=1)]
    graphs = build_graphs(find_neighbours([one], nearest), nearest)[0]
    assert graphs.src[1] == 2  # between F and O
    assert graphs.src[2] == 1  # between iron and iron
    assert milli(np.array([2.9])).item() == graphs.distance[1]


def test_an_atom_with_few_neighbours_has_few_edges() -> None:
    lonely = CRYSTALS["isolated"]
    assert len(graphs_of([lonely], "cgcnn").dst) == 6
    assert len(graphs_of([lonely], "megnet").dst) == 0
    beside = graphs_of([CRYSTALS["Cu"], lonely, CRYSTALS["NaCl"]], "megnet")
    assert np.diff(beside.edge_ptr)[1] == 0
    assert np.diff(beside.node_ptr).tolist() == [4, 1, 8]


def test_edges_of_many_crystals_are_those_of_each() -> None:
    several = list(CRYSTALS.values())
    kinds = representations(BACKBONES)
    made = build_graphs(find_neighbours(several, kinds), kinds)
    for together, kind in zip(made, kinds, strict=True):
        start = 0
        for index, one in enumerate(several):
            alone = build_graphs(find_neighbours([one], [kind]), [kind])[0]
            stop = start + len(alone.dst)
            assert together.edge_ptr[index + 1] == stop
            assert edges(together)[start:stop] == edges(alone)
            start = stop


def test_what_does_not_fit_the_sorting_key_is_refused() -> None:
    far = [QuotientGraph(name="far", version=1, cutoff=17.0, max_neighbours=None)]
    with pytest.raises(ValueError, match=r"\[17\.0\] Å"):
        find_neighbours([CRYSTALS["NaCl"]], far)


def test_no_crystals_make_no_graphs() -> None:
    kinds = representations(BACKBONES)
    assert [len(graphs) for graphs in build_graphs(find_neighbours([], kinds), kinds)] == [0] * len(
        kinds
    )


@each
def test_coordinates_outside_the_cell_are_the_same_atoms(name: str) -> None:
    one = CRYSTALS[name]
    # multiples of 1/1024 survive the shift without rounding
    snapped = crystal(one.numbers, np.round(one.frac * 1024) / 1024, one.lattice)
    shifts = np.random.default_rng(1).integers(-3, 4, snapped.frac.shape)
    moved = Crystal(snapped.numbers, snapped.frac + shifts, snapped.lattice)
    kinds = representations(BACKBONES)
    assert same(find_neighbours([moved], kinds), find_neighbours([snapped], kinds))


@each
def test_the_first_small_radius_loses_nothing(name: str) -> None:
    kind = BACKBONES["cgcnn"].representation
    everything = QuotientGraph(name="all", version=1, cutoff=8.0, max_neighbours=None)
    full = build_graphs(find_neighbours([CRYSTALS[name]], [everything]), [kind])[0]
    assert same(graphs_of([CRYSTALS[name]], "cgcnn"), full)


def test_a_tie_cut_by_the_first_radius_is_still_seen() -> None:
    """The twelfth neighbour lies just inside the first radius, its lighter equal just outside."""
    edge = 9.0
    volume = edge**3 / 14
    radius = (3 * 24 * volume / (4 * np.pi)) ** (1 / 3) + 0.002
    along = np.ones(3) / 3**0.5
    inside, outside = radius - 1e-6, radius + 1e-6
    assert milli(np.array([inside])) == milli(np.array([outside]))
    cluster = [along * 3.0 + step for step in _ball(11)]
    aside = np.array([1, -1, 0]) / 2**0.5
    far = [_turned(along, aside, sign * 0.1) * r for sign, r in ((1, inside), (-1, outside))]
    positions = np.array([np.zeros(3), *cluster, *far])
    one = crystal([8] * 12 + [53, 3], positions / edge, edge * np.eye(3))
    slow = sorted((round(d, 9), j) for i, j, d in pairs(one, radius + 0.1) if i == 0)
    assert [j for _, j in slow[11:13]] == [12, 13]  # the case is what it is meant to be
    graphs = graphs_of([one], "cgcnn")
    assert 13 in graphs.src[graphs.dst == 0] and 12 not in graphs.src[graphs.dst == 0]


def _ball(points: int) -> np.ndarray:
    grid = np.stack(np.meshgrid(*[[-0.5, 0.0, 0.5]] * 3, indexing="ij"), -1).reshape(-1, 3)
    order = np.argsort(np.linalg.norm(grid, axis=1), kind="stable")
    return np.asarray(grid[order[:points]])


def _turned(along: np.ndarray, aside: np.ndarray, angle: float) -> np.ndarray:
    return np.asarray(np.cos(angle) * along + np.sin(angle) * aside)


@each
def test_all_kinds_come_out_of_one_search_as_out_of_several(name: str) -> None:
    kinds = representations(BACKBONES)
    made = build_graphs(find_neighbours([CRYSTALS[name]], kinds), kinds)
    users = {spec.representation: backbone for backbone, spec in BACKBONES.items()}
    for graphs, backbone in zip(made, map(users.get, kinds), strict=True):
        assert backbone is not None
        assert same(graphs, graphs_of([CRYSTALS[name]], backbone))


def test_another_order_of_atoms_gives_the_same_edges_by_another_name() -> None:
    one = CRYSTALS["triclinic"]
    order = np.random.default_rng(0).permutation(len(one.numbers))
    anew = graphs_of([listed_anew(one)], "megnet")
    back = [(int(order[dst]), distance, int(order[src])) for dst, distance, src in edges(anew)]
    assert sorted(back) == sorted(edges(graphs_of([one], "megnet")))
