"""The full multi-edge graph: vectors, images that stay apart, whole shells, lattice edges."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from trainables.crystals.crystal import Crystal
from trainables.representations.batches import DeviceColumns
from trainables.representations.full_graph import FullGraph, FullGraphs, niggli_basis
from trainables.representations.graph_batch import FullBatch
from trainables.representations.neighbours import find_neighbours
from trainables.representations.quotient_graph import QuotientGraph
from trainables.testing.crystals import (
    crystal,
    in_cell,
    listed_anew,
    made_up,
    named_crystals,
    pairs,
    rotated,
)

CRYSTALS = named_crystals()
ALL = FullGraph(name="full-r5", version=1, cutoff=5.0, max_neighbours=None)
NEAREST = dataclasses.replace(ALL, name="full-nn12", cutoff=8.0, max_neighbours=12)
LATTICE = dataclasses.replace(ALL, name="full-lattice", lattice_edges=True)


def built(kind: FullGraph, *crystals: Crystal) -> FullGraphs:
    return kind.build(find_neighbours(crystals, [kind]))


def batch_of(graphs: FullGraphs, dtype: torch.dtype = torch.float64) -> FullBatch:
    data = DeviceColumns.load(graphs, np.zeros(len(graphs)), dtype=dtype)
    batch = data.take(torch.arange(len(graphs)))
    assert isinstance(batch, FullBatch)
    return batch


def lengths(graphs: FullGraphs) -> np.ndarray:
    return np.linalg.norm(batch_of(graphs).vector.numpy(), axis=1)


def own_images(graphs: FullGraphs) -> np.ndarray:
    """[N, 6] lengths of the lattice edges, which come last of each atom's."""
    of_atom = np.searchsorted(graphs.dst, np.arange(graphs.nodes), side="right")
    return np.stack([lengths(graphs)[of_atom - 6 + k] for k in range(6)], axis=1)


@pytest.mark.parametrize("name", CRYSTALS)
def test_edges_are_all_neighbours_and_vectors_as_long_as_their_distances(name: str) -> None:
    graphs = built(ALL, CRYSTALS[name])
    found = zip(graphs.dst.tolist(), graphs.src.tolist(), lengths(graphs), strict=True)
    listed = sorted((i, j, round(d, 6)) for i, j, d in found)
    assert listed == sorted((i, j, round(d, 6)) for i, j, d in pairs(CRYSTALS[name], 5.0))
    assert graphs.z.tolist() == CRYSTALS[name].numbers.tolist()
    assert np.all(np.diff(graphs.dst) >= 0)


def test_images_of_one_neighbour_stay_apart() -> None:
    graphs = built(ALL, crystal([29], [(0, 0, 0)], 3.0 * np.eye(3)))
    edges = list(zip(graphs.dst, graphs.src, map(tuple, graphs.shift.tolist()), strict=True))
    assert {(i, j) for i, j, _ in edges} == {(0, 0)}
    assert len(set(edges)) == len(edges) == 6 + 12  # at 3 and 4.24 Å
    vectors = {tuple(np.rint(v / 3.0)) for v in batch_of(graphs).vector.numpy()}
    assert vectors == {shift for _, _, shift in edges}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_edge_back_is_the_opposite_to_the_last_bit(dtype: torch.dtype) -> None:
    batch = batch_of(built(ALL, *made_up(8), CRYSTALS["triclinic"]), dtype)
    edges = zip(batch.dst.tolist(), batch.src.tolist(), batch.vector.tolist(), strict=True)
    there = {(i, j, *vector) for i, j, vector in edges}
    assert there == {(j, i, -x, -y, -z) for i, j, x, y, z in there}


def moved_across_borders(one: Crystal) -> Crystal:
    """Each coordinate by whole cells, and 0 to the next number below."""
    steps = np.random.default_rng(0).integers(-2, 3, one.frac.shape)
    frac = np.where(one.frac == 0, -1e-17, one.frac + steps)
    return Crystal(one.numbers, frac, one.lattice)


@pytest.mark.parametrize("name", CRYSTALS)
def test_atoms_on_the_border_of_the_cell(name: str) -> None:
    one, other = (built(ALL, c) for c in (CRYSTALS[name], moved_across_borders(CRYSTALS[name])))
    assert (other.frac >= 0).all() and (other.frac < 1).all()
    np.testing.assert_allclose(other.frac, one.frac, atol=1e-12)
    for column in ("dst", "src", "shift"):
        assert np.array_equal(getattr(one, column), getattr(other, column)), column


def test_equal_crystals_give_equal_bits_whatever_is_beside_them() -> None:
    crystals = [*CRYSTALS.values(), *made_up(8)]
    together = built(LATTICE, *crystals)
    for index, one in enumerate(crystals):
        alone, taken = built(LATTICE, one), together.take(np.array([index]))
        for column in FullGraphs.declared():
            assert getattr(alone, column.name).tobytes() == getattr(taken, column.name).tobytes()


def test_a_search_for_quotients_too_gives_the_same_of_both() -> None:
    quotients = QuotientGraph(name="nn12", version=1, cutoff=8.0, max_neighbours=12)
    crystals = list(CRYSTALS.values())
    shared = find_neighbours(crystals, [quotients, ALL])
    for kind in (quotients, ALL):
        alone, beside = kind.build(find_neighbours(crystals, [kind])), kind.build(shared)
        for column in alone.declared():
            one, other = getattr(alone, column.name), getattr(beside, column.name)
            assert np.array_equal(one, other), column.name


@pytest.mark.parametrize("name", CRYSTALS)
def test_shells_are_whole(name: str) -> None:
    graphs, everything = built(NEAREST, CRYSTALS[name]), pairs(CRYSTALS[name], 8.0)
    found = lengths(graphs)
    for atom in range(graphs.nodes):
        own = np.sort(found[graphs.dst == atom])
        all_of_it = np.sort([d for i, _, d in everything if i == atom])
        last = all_of_it[min(12, len(all_of_it)) - 1]
        assert len(own) == np.count_nonzero(all_of_it < last + 1e-6)


def bits(graphs: FullGraphs) -> set[tuple[int, ...]]:
    z = graphs.z.tolist()
    vectors = np.rint(1e6 * batch_of(graphs).vector.numpy()).astype(int).tolist()
    ends = zip(graphs.dst.tolist(), graphs.src.tolist(), strict=True)
    return {(z[i], z[j], *vector) for (i, j), vector in zip(ends, vectors, strict=True)}


SUPERCELLS = [np.diag([2, 1, 1]), np.diag([1, 2, 3]), np.array([[1, 1, 0], [0, 1, 0], [0, 0, 2]])]


@pytest.mark.parametrize("cell", SUPERCELLS, ids=["2 1 1", "1 2 3", "skew"])
def test_vectors_do_not_depend_on_the_cell(cell: np.ndarray) -> None:
    for one in (CRYSTALS["SrTiO3"], CRYSTALS["ZnO"], CRYSTALS["triclinic"]):
        assert bits(built(ALL, one)) == bits(built(ALL, in_cell(one, cell)))
        assert bits(built(ALL, one)) == bits(built(ALL, listed_anew(one)))


# ------------------------------------------------------------------------------- lattice edges


def unimodular(seed: int) -> np.ndarray:
    rng, cell = np.random.default_rng(seed), np.eye(3, dtype=int)
    for _ in range(5):
        i, j = rng.choice(3, 2, replace=False)
        cell[i] += rng.choice([-1, 1]) * cell[j]
    return cell


def in_other_vectors(one: Crystal, cell: np.ndarray) -> Crystal:
    return Crystal(one.numbers, one.frac @ np.linalg.inv(cell), cell @ one.lattice)


@pytest.mark.parametrize("name", CRYSTALS)
def test_lattice_edges_are_those_of_the_reduced_cell(name: str) -> None:
    wanted = own_images(built(LATTICE, CRYSTALS[name]))
    np.testing.assert_allclose(wanted, np.broadcast_to(wanted[0], wanted.shape), atol=1e-9)
    for seed in range(20):
        other = in_other_vectors(rotated(CRYSTALS[name], seed), unimodular(seed))
        np.testing.assert_allclose(np.sort(own_images(built(LATTICE, other)), axis=1),
                                   np.sort(wanted, axis=1), atol=1e-6)  # fmt: skip


def test_of_a_known_cell_they_are_its_edges_and_diagonals() -> None:
    one = crystal([29], [(0.2, 0, 0)], np.diag([3.0, 4.0, 5.0]))
    found = own_images(built(LATTICE, in_other_vectors(one, unimodular(1))))
    np.testing.assert_allclose(np.sort(found[0]), [3, 4, 5, 5, 34**0.5, 41**0.5], atol=1e-9)


def test_lattice_edges_are_added_to_the_others() -> None:
    without, with_them = (built(kind, *CRYSTALS.values()) for kind in (ALL, LATTICE))
    assert with_them.edges == without.edges + 6 * without.nodes
    last = np.searchsorted(with_them.dst[: with_them.edge_ptr[1]], 1)
    assert np.array_equal(with_them.dst[last - 6 : last], with_them.src[last - 6 : last])


def test_the_reduced_vectors_span_the_lattice() -> None:
    for seed in range(20):
        lattice = np.random.default_rng(seed).normal(size=(3, 3)) * 4
        assert abs(round(np.linalg.det(niggli_basis(lattice)))) == 1


# ------------------------------------------------------------------------------- limits


def test_a_cell_with_neighbours_too_many_cells_away_is_named() -> None:
    thin = [
        crystal([11], [(0, 0, 0)], [(4, 0, 0), (4 * 150, 4, 0), (0, 0, 4)]),
        crystal([11], [(0, 0, 0)], [(3, 0, 0), (0, 3, 0), (3 * 150, 0, 100)]),
    ]
    neighbours = find_neighbours([CRYSTALS["Cu"], *thin], [ALL, LATTICE])
    assert list(ALL.refused(neighbours)) == [1] and list(LATTICE.refused(neighbours)) == [1, 2]
    with pytest.raises(ValueError, match=r"^crystal 1: .* more than 127 cells away; give the red"):
        ALL.build(neighbours)


def test_a_lattice_without_a_reduced_cell_is_refused() -> None:
    lattice = [(1e-3, 0, 0), (1e6, 1e-3, 0), (0, 1e6, 1e3)]
    found = find_neighbours([CRYSTALS["Cu"]], [LATTICE])
    strange = dataclasses.replace(found, lattice=np.array([lattice]))
    assert list(LATTICE.refused(strange)) == [0]


def test_no_crystals() -> None:
    graphs = built(LATTICE)
    assert (len(graphs), graphs.nodes, graphs.edges) == (0, 0, 0)


def test_neighbours_without_shifts_are_refused() -> None:
    kinds = [QuotientGraph(name="all", version=1, cutoff=5.0, max_neighbours=None)]
    with pytest.raises(ValueError, match="without their shifts"):
        ALL.build(find_neighbours([CRYSTALS["Cu"]], kinds))
