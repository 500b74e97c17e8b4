"""Orbit graphs against all atoms: features, outputs and gradients of an equivariant network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from tests.crystals.equivariant_network import Features, Network, gradients, turned
from tests.crystals.symmetric_crystals import GROUPS, gridded_crystals, of_group
from trainables.crystals.crystal import Crystal
from trainables.crystals.parsing import parse
from trainables.crystals.sources.matbench import MatBench
from trainables.representations import symmetrise as symmetrise_module
from trainables.representations.full_graph import FullGraph, FullGraphs
from trainables.representations.orbit_graph import OrbitGraph, OrbitGraphs, members
from trainables.representations.space_group import turns
from trainables.representations.symmetrise import symmetrise
from trainables.representations.wigner import multiply, packed, transpose, unpack
from trainables.testing.crystals import (
    in_cell,
    listed_anew,
    named_crystals,
    rotated,
)
from trainables.testing.representations import RepresentationContract
from trainables.testing.samples import batch_of, built

ORBITS = OrbitGraph(name="orbits-r5", version=1, cutoff=5.0, max_neighbours=None)
FULL = FullGraph(name="full-r5", version=1, cutoff=5.0, max_neighbours=None)
NEAREST = dataclasses.replace(ORBITS, name="orbits-nn12", cutoff=8.0, max_neighbours=12)
FULL_NEAREST = dataclasses.replace(FULL, name="full-nn12", cutoff=8.0, max_neighbours=12)
KINDS = [(ORBITS, FULL), (NEAREST, FULL_NEAREST)]
CRYSTALS = {**named_crystals(), **{str(group): of_group(group) for group in GROUPS}}
# One crystal of each kind of symmetry, for what is tried in many ways.
SOME = ("225", "227", "194", "166", "152", "216", "19", "14", "1", "graphite", "isolated")
each = pytest.mark.parametrize("name", CRYSTALS)


@cache
def network() -> Network:
    return Network()


def described_anew(one: Crystal, seed: int) -> Crystal:
    """Rotated, with another origin and another order of atoms."""
    shift = np.random.default_rng(seed).random(3)
    return listed_anew(rotated(Crystal(one.numbers, one.frac + shift, one.lattice), seed), seed)


def mirrored(one: Crystal) -> Crystal:
    return Crystal(one.numbers, one.frac, one.lattice * np.array([1.0, 1.0, -1.0]))


def of_all_atoms(one: Crystal, kind: OrbitGraph) -> tuple[Features, torch.Tensor, np.ndarray]:
    """Features of all atoms of a crystal as it is given, output and gradients, on its orbits."""
    batch = batch_of(built([one], kind))
    features = network().on_orbits(batch)
    energy = network().energy(features, batch)
    found = gradients(network(), network().loss(features, batch))
    symmetric = symmetrise(one)
    atoms = symmetric.primitive
    node = torch.from_numpy(np.searchsorted(np.unique(symmetric.first), symmetric.first[atoms]))
    turn = symmetric.frame @ turns()[symmetric.group.turn[symmetric.by[atoms]]]
    taken = {order: of.detach()[node] for order, of in features.items()}
    return turned(taken, torch.from_numpy(packed(turn))), energy.detach(), found


def demand_equal(one: Crystal, kinds: tuple[OrbitGraph, FullGraph], bar: float) -> None:
    batch = batch_of(built([one], kinds[1]))
    wanted = network().on_atoms(batch)
    features, energy, gradient = of_all_atoms(one, kinds[0])
    for order, of in wanted.items():
        assert torch.allclose(features[order], of, rtol=bar, atol=bar), order
    assert torch.allclose(energy, network().energy(wanted, batch), rtol=bar, atol=bar)
    expected = gradients(network(), network().loss(wanted, batch))
    # the loss is a sum over all atoms of the given cell
    assert np.abs(gradient - expected).max() <= bar * np.abs(expected).max()


@pytest.mark.parametrize("kinds", KINDS, ids=["all", "nearest"])
@each
def test_orbits_give_what_all_atoms_give(name: str, kinds: tuple[OrbitGraph, FullGraph]) -> None:
    demand_equal(described_anew(CRYSTALS[name], seed=1), kinds, 1e-10)


@settings(max_examples=30)
@given(one=gridded_crystals())
def test_orbits_of_gridded_crystals_give_what_all_atoms_give(one: Crystal) -> None:
    """Of any symmetry, also of cells that are not primitive."""
    demand_equal(one, KINDS[0], 1e-10)


@pytest.mark.parametrize(
    "change",
    [
        lambda one: rotated(one, 4),
        lambda one: mirrored(one),
        lambda one: Crystal(one.numbers, one.frac + np.array([0.31, 0.17, -0.4]), one.lattice),
        lambda one: listed_anew(one, 4),
        lambda one: in_cell(one, [[1, 0, 0], [0, 2, 0], [0, 0, 1]]),
        lambda one: in_cell(one, [[1, 1, 0], [-1, 1, 0], [0, 1, 1]]),
        lambda one: in_cell(one, [[1, 2, 0], [0, 1, 0], [-1, 0, 1]]),
    ],
    ids=["rotation", "reflection", "origin", "listing", "supercell", "other supercell", "cell"],
)
@pytest.mark.parametrize("name", SOME)
def test_the_description_does_not_matter(name: str, change: Callable[[Crystal], Crystal]) -> None:
    one, other = CRYSTALS[name], change(CRYSTALS[name])
    demand_equal(other, KINDS[0], 1e-9)
    energies = [network().energy(network().on_orbits(batch), batch) for batch in
                (batch_of(built([given], ORBITS)) for given in (one, other))]  # fmt: skip
    assert torch.allclose(*energies, rtol=1e-9, atol=1e-9)
    first, second = built([one, other], ORBITS).take(np.array([0])), built([other], ORBITS)
    assert (first.nodes, first.edges) == (second.nodes, second.edges)


def test_the_groups_are_as_many_as_they_seem() -> None:
    graphs = built([CRYSTALS[str(group)] for group in GROUPS], ORBITS)
    assert isinstance(graphs, OrbitGraphs)
    assert graphs.group.tolist() == list(GROUPS) and len(set(GROUPS)) >= 30
    assert (graphs.symprec == 1e-2).all() and (graphs.moved < 1e-6).all()


def test_features_of_all_orders_are_there() -> None:
    """Or their equality would say nothing."""
    features, _, _ = of_all_atoms(CRYSTALS["152"], ORBITS)
    assert all(of.abs().max() > 1e-3 for of in features.values())


# ------------------------------------------------------------------------------ what is stored


@each
def test_the_numbers_of_atoms_and_neighbours_are_kept(name: str) -> None:
    for orbits, full in KINDS:
        graphs, all_of_it = built([CRYSTALS[name]], orbits), built([CRYSTALS[name]], full)
        assert isinstance(graphs, OrbitGraphs) and isinstance(all_of_it, FullGraphs)
        assert graphs.multiplicity.sum() == len(CRYSTALS[name].numbers)
        assert (graphs.count * graphs.multiplicity[graphs.dst]).sum() == all_of_it.edges


@each
def test_a_site_keeps_what_its_edges_are_summed_to(name: str) -> None:
    """A projector is idempotent, symmetric, and unchanged by the operations of the site."""
    graphs = built([CRYSTALS[name]], ORBITS)
    assert isinstance(graphs, OrbitGraphs)
    projector = graphs.prepared().projector
    assert np.allclose(multiply(projector, projector), projector, atol=1e-14)
    assert np.allclose(transpose(projector), projector, atol=1e-14)
    for node, has in enumerate(members(graphs.site)):
        for turn in packed(turns()[has]):
            assert np.allclose(multiply(turn[None], projector[[node]]), projector[node], atol=1e-14)


def test_edges_of_an_orbit_are_as_many_as_the_group_makes_of_one() -> None:
    for graphs in (built([one], ORBITS) for one in CRYSTALS.values()):
        assert isinstance(graphs, OrbitGraphs)
        for edge in range(graphs.edges):
            has = members(graphs.site[graphs.dst[[edge]]])[0]
            images = (turns()[has] @ graphs.vector[edge]).round(6) + 0.0
            assert len(np.unique(images, axis=0)) == graphs.count[edge]


def test_an_edge_points_along_z_in_its_own_frame() -> None:
    batch = batch_of(built([CRYSTALS["194"], CRYSTALS["1"]], ORBITS))
    graphs = built([CRYSTALS["194"], CRYSTALS["1"]], ORBITS)
    assert isinstance(graphs, OrbitGraphs)
    unit = graphs.vector / np.linalg.norm(graphs.vector, axis=1, keepdims=True)
    # of the node src, which `turn` turns
    back = np.einsum("eij,ei->ej", turns()[graphs.turn], unit)
    into = unpack(batch.into.numpy())[0]
    assert np.allclose(np.einsum("eij,ej->ei", into, back[:, [1, 2, 0]]), [0, 1, 0], atol=1e-14)
    assert np.allclose(batch.length, np.linalg.norm(graphs.vector, axis=1))


# -------------------------------------------------------------------------- unusual crystals


def test_one_atom_without_neighbours() -> None:
    graphs = built([CRYSTALS["isolated"]], dataclasses.replace(ORBITS, cutoff=4.0))
    assert isinstance(graphs, OrbitGraphs)
    assert (graphs.nodes, graphs.edges, graphs.group.tolist()) == (1, 0, [221])
    batch = batch_of(graphs)
    assert torch.isfinite(network().energy(network().on_orbits(batch), batch)).all()


def test_no_crystals() -> None:
    graphs = built([], ORBITS)
    assert (len(graphs), graphs.nodes, graphs.edges) == (0, 0, 0)
    assert (len(graphs.prepared()), graphs.prepared().nodes) == (0, 0)


def test_a_crystal_that_cannot_be_symmetrised_has_all_its_atoms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(symmetrise_module, "LADDER", ())
    one = described_anew(CRYSTALS["SrTiO3"], seed=1)
    graphs = built([one], ORBITS)
    assert isinstance(graphs, OrbitGraphs)
    assert (graphs.nodes, graphs.symprec.tolist(), graphs.group.tolist()) == (5, [0.0], [1])
    assert (graphs.count == 1).all() and (graphs.site == 1).all()
    demand_equal(one, KINDS[0], 1e-10)


@pytest.mark.parametrize("name", ["225", "227", "166", "62"])
def test_noise_is_averaged_away(name: str) -> None:
    """A relaxed crystal is symmetric to a thousandth of an ångström; its group is found."""
    one = CRYSTALS[name]
    rng = np.random.default_rng(3)
    noise = rng.normal(size=one.frac.shape) * 5e-4 @ np.linalg.inv(one.lattice)
    near = Crystal(
        one.numbers, one.frac + noise, one.lattice * (1 + 1e-5 * rng.normal(size=(3, 3)))
    )
    graphs, exact = built([near], ORBITS), built([one], ORBITS)
    assert isinstance(graphs, OrbitGraphs) and isinstance(exact, OrbitGraphs)
    assert graphs.group.tolist() == exact.group.tolist() == [int(name)]
    assert 1e-5 < graphs.moved[0] < 0.01
    assert np.allclose(np.sort(graphs.count), np.sort(exact.count))
    symmetric = symmetrise(near).crystal
    demand_equal(described_anew(symmetric, 2), KINDS[0], 1e-10)


def test_phonons_give_what_all_their_atoms_give(shared_data: Path) -> None:
    path = shared_data / "matbench_phonons.json.gz"
    if not path.exists():
        pytest.skip(f"no real data: {path.name} is not in {shared_data.name}/")
    for entry in islice(MatBench(path).entries(), 0, None, 40):
        # they are symmetric to some 1e-8 Å, so the graph of all atoms is that of exact ones
        demand_equal(symmetrise(parse(entry)).crystal, KINDS[1], 1e-10)


class TestOrbits(RepresentationContract):
    representation = ORBITS


class TestOrbitsOfNearest(RepresentationContract):
    representation = NEAREST
