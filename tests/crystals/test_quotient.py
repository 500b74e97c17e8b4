"""Colour refinement and the quotient against slow, plain versions of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from tests.crystals.symmetric_crystals import gridded_crystals
from trainables.crystals.crystal import Crystal
from trainables.crystals.parsing import parse
from trainables.crystals.sources.matbench import MatBench
from trainables.models.backbones import BACKBONES
from trainables.representations.graph import Graphs
from trainables.representations.quotient import quotient, refine
from trainables.testing.crystals import (
    in_cell,
    listed_anew,
    made_up,
    named_crystals,
    rotated,
    triclinic,
)
from trainables.testing.samples import graphs_of

CRYSTALS = named_crystals()
each = pytest.mark.parametrize("name", CRYSTALS)
both = pytest.mark.parametrize("backbone", BACKBONES)


def classes_by_tuples(graphs: Graphs) -> list[int]:
    """1-WL of one crystal as it is written in the books: colours are ranks of nested tuples."""
    colour = graphs.z.tolist()
    edges = list(zip(graphs.dst, graphs.src, graphs.distance, strict=True))
    while True:
        described = [
            (colour[i], tuple(sorted((int(d), colour[j]) for k, j, d in edges if k == i)))
            for i in range(len(colour))
        ]
        ranks = {one: rank for rank, one in enumerate(sorted(set(described)))}
        refined = [ranks[one] for one in described]
        if len(set(refined)) == len(set(colour)):
            return refined
        colour = refined


def partition(colours: object) -> set[frozenset[int]]:
    classes: dict[int, set[int]] = {}
    for node, colour in enumerate(np.asarray(colours).tolist()):
        classes.setdefault(colour, set()).add(node)
    return {frozenset(members) for members in classes.values()}


@both
@settings(max_examples=40)
@given(one=gridded_crystals())
def test_refinement_is_wl_on_gridded_crystals(backbone: str, one: Crystal) -> None:
    graphs = graphs_of([one], backbone)
    assert partition(refine(graphs)) == partition(classes_by_tuples(graphs))


@both
@each
def test_refinement_is_wl(backbone: str, name: str) -> None:
    graphs = graphs_of([CRYSTALS[name]], backbone)
    assert partition(refine(graphs)) == partition(classes_by_tuples(graphs))


@both
@pytest.mark.parametrize("seed", range(3))
def test_atoms_without_symmetry_stay_apart(backbone: str, seed: int) -> None:
    graphs = graphs_of([triclinic(9, seed)], backbone)
    assert len(partition(refine(graphs))) == 9


@both
def test_the_partition_is_equitable_and_is_what_the_quotient_says(backbone: str) -> None:
    graphs = graphs_of([*CRYSTALS.values(), *made_up(16)], backbone)
    classes = quotient(graphs)
    colour = refine(graphs)
    for index in range(len(graphs)):
        nodes = slice(*graphs.node_ptr[index : index + 2])
        edges = slice(*graphs.edge_ptr[index : index + 2])
        keys = list(zip(graphs.z[nodes].tolist(), colour[nodes].tolist(), strict=True))
        rank = {key: place for place, key in enumerate(sorted(set(keys)))}
        class_of = [rank[key] for key in keys]
        lists: list[Counter[tuple[int, int]]] = [Counter() for _ in keys]
        for dst, distance, src in zip(
            graphs.dst[edges], graphs.distance[edges], graphs.src[edges], strict=True
        ):
            lists[dst][int(distance), class_of[src]] += 1
        wanted = {place: listed for place, listed in zip(class_of, lists, strict=True)}
        # equitable: not one atom has another list than the last of its class
        assert all(wanted[place] == listed for place, listed in zip(class_of, lists, strict=True))
        assert collapsed(classes, index) == wanted
        sizes = classes.multiplicity[slice(*classes.node_ptr[index : index + 2])]
        assert sizes.tolist() == [class_of.count(place) for place in range(len(rank))]


def collapsed(classes: Graphs, index: int) -> dict[int, Counter[tuple[int, int]]]:
    """The edges of one crystal's quotient: node -> (distance, src) -> count."""
    found: dict[int, Counter[tuple[int, int]]] = {
        node: Counter() for node in range(int(np.diff(classes.node_ptr)[index]))
    }
    edges = slice(*classes.edge_ptr[index : index + 2])
    for dst, distance, src, count in zip(
        classes.dst[edges].tolist(),
        classes.distance[edges].tolist(),
        classes.src[edges].tolist(),
        classes.count[edges].tolist(),
        strict=True,
    ):
        assert (distance, src) not in found[dst]
        found[dst][distance, src] = count
    return found


@both
def test_no_atom_and_no_edge_is_lost(backbone: str) -> None:
    graphs = graphs_of([*CRYSTALS.values(), *made_up(16)], backbone)
    classes = quotient(graphs)
    bonds = classes.multiplicity[classes.dst + classes.node_ptr[classes.edge_crystal]]
    per_crystal = np.bincount(classes.edge_crystal, bonds * classes.count, len(classes))
    assert per_crystal.tolist() == np.diff(graphs.edge_ptr).tolist()
    atoms = np.bincount(classes.node_crystal, classes.multiplicity, len(classes))
    assert atoms.tolist() == np.diff(graphs.node_ptr).tolist()


def test_textbook_crystals_have_one_class_a_site() -> None:
    sites = {"NaCl": 2, "Cu": 1, "SrTiO3": 3, "ZnO": 2, "MgAl2O4": 3, "TiO2": 2, "isolated": 1}
    graphs = quotient(graphs_of([CRYSTALS[name] for name in sites], "megnet"))
    assert np.diff(graphs.node_ptr).tolist() == list(sites.values())
    # graphite: atoms with and without an atom of the next layer straight below
    assert len(quotient(graphs_of([CRYSTALS["graphite"]], "megnet")).z) == 2


def bits(graphs: Graphs, index: int) -> list[bytes]:
    nodes = slice(*graphs.node_ptr[index : index + 2])
    edges = slice(*graphs.edge_ptr[index : index + 2])
    parts = [graphs.z[nodes], graphs.multiplicity[nodes]]
    parts += [column[edges] for column in (graphs.dst, graphs.src, graphs.distance, graphs.count)]
    return [part.tobytes() for part in parts]


@both
@pytest.mark.parametrize(
    "change",
    [
        lambda one: listed_anew(one, 5),
        lambda one: rotated(one, 5),
        lambda one: in_cell(one, [[1, 2, 0], [0, 1, 0], [-1, 0, 1]]),
    ],
    ids=["order", "rotation", "cell"],
)
def test_bits_do_not_depend_on_the_description(
    backbone: str, change: Callable[[Crystal], Crystal]
) -> None:
    crystals = [*CRYSTALS.values(), *made_up(16)]
    graphs = quotient(graphs_of(crystals, backbone))
    anew = quotient(graphs_of([change(one) for one in crystals], backbone))
    assert [bits(graphs, i) for i in range(len(graphs))] == [
        bits(anew, i) for i in range(len(anew))
    ]


@both
def test_bits_do_not_depend_on_the_crystals_beside(backbone: str) -> None:
    crystals = [*CRYSTALS.values(), *made_up(8)]
    together = quotient(graphs_of(crystals, backbone))
    backwards = quotient(graphs_of(crystals[::-1], backbone))
    for index, one in enumerate(crystals):
        alone = bits(quotient(graphs_of([one], backbone)), 0)
        assert bits(together, index) == alone
        assert bits(backwards, len(crystals) - 1 - index) == alone


@both
def test_a_supercell_has_the_same_quotient_with_larger_classes(backbone: str) -> None:
    crystals = list(CRYSTALS.values())
    one = quotient(graphs_of(crystals, backbone))
    doubled = [in_cell(c, [[2, 0, 0], [0, 1, 0], [0, 0, 1]]) for c in crystals]
    two = quotient(graphs_of(doubled, backbone))
    assert np.array_equal(two.multiplicity, 2 * one.multiplicity)
    for column in ("node_ptr", "edge_ptr", "z", "dst", "src", "distance", "count"):
        assert np.array_equal(getattr(two, column), getattr(one, column)), column


@both
def test_compression_of_phonons(shared_data: Path, backbone: str) -> None:
    path = shared_data / "matbench_phonons.json.gz"
    if not path.exists():
        pytest.skip(f"no real data: {path.name} is not in {shared_data.name}/")
    graphs = graphs_of([parse(entry) for entry in MatBench(path).entries()], backbone)
    classes = quotient(graphs)
    assert len(graphs.dst) / len(classes.dst) >= 4.5
    assert len(graphs.z) / len(classes.z) >= 2


def test_what_does_not_fit_the_sorting_key_is_refused() -> None:
    one, start = np.ones(1, dtype=np.int32), np.zeros(1, dtype=np.int32)
    ptr = np.array([0, 1])
    far = Graphs(ptr, ptr, one.astype(np.uint8), one, start, start, one << 14, one)
    with pytest.raises(ValueError, match="edges of 16384 mÅ"):
        quotient(far)
    longest = Graphs(ptr, ptr, far.z, one, start, start, (one << 14) - 1, one)
    assert quotient(longest).distance.tolist() == [16383]
