"""Raw rows become graphs: a bad crystal affects only itself."""

from __future__ import annotations

import dataclasses
import json
import time
import tracemalloc

import numpy as np
import pytest

from trainables.crystals.crystal import Crystal, Entry
from trainables.crystals.symbols import symbol
from trainables.models.backbones import BACKBONES, representations
from trainables.representations.columns import Columns
from trainables.representations.featurise import Featurised, featurise
from trainables.representations.full_graph import FullGraph
from trainables.testing.crystals import crystal, named_crystals
from trainables.testing.samples import built

KINDS = representations(BACKBONES)
GOOD = named_crystals()


def entry(row: int, one: Crystal, target: str = "1.5") -> Entry:
    sites = [
        {"species": [{"element": symbol(int(z)), "occu": 1}], "abc": place.tolist()}
        for z, place in zip(one.numbers, one.frac, strict=True)
    ]
    text = json.dumps({"lattice": {"matrix": one.lattice.tolist()}, "sites": sites})
    return Entry(row, f"id-{row}", "json", text, target, f"test:{row + 1}")


def run(entries: list[Entry]) -> Featurised:
    return featurise(entries, KINDS, max_atoms=100)


def assert_same(a: Columns, b: Columns) -> None:
    for column in dataclasses.fields(type(b)):
        assert np.array_equal(getattr(a, column.name), getattr(b, column.name)), column.name


CLOSE = crystal([11, 17, 8], [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0.58)], 5 * np.eye(3))
BAD = {
    "nan": (crystal([11], [(np.nan, 0, 0)], 4 * np.eye(3)), "1", "coordinates are not finite"),
    "flat": (crystal([11], [(0, 0, 0)], np.diag([4.0, 4.0, 0.0])), "1", "zero volume"),
    "close": (CLOSE, "1", "atoms too close: Cl2 and O3 are 0.400 Å apart"),
    "on top": (crystal([8, 8], np.zeros((2, 3)), 9 * np.eye(3)), "1", "O1 and O2 are 0.000 Å"),
    "empty": (crystal([], [], 4 * np.eye(3)), "1", "no atoms"),
    "large": (crystal([1] * 101, np.zeros((101, 3)), 9 * np.eye(3)), "1", "too many atoms"),
    "no target": (GOOD["NaCl"], "", "missing target"),
    "word": (GOOD["NaCl"], "high", "target is not a number"),
}


def test_good_crystals_are_all_there() -> None:
    entries = [entry(i, one, f"{i}.25") for i, one in enumerate(GOOD.values())]
    result = run(entries)
    assert result.reasons == [""] * len(GOOD)
    assert result.target.tolist() == [i + 0.25 for i in range(len(GOOD))]
    for spec in BACKBONES.values():
        wanted = built(list(GOOD.values()), spec.representation)
        assert_same(result.graphs[spec.representation.name], wanted)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_crystal_costs_only_itself(name: str) -> None:
    one, target, reason = BAD[name]
    mixed = [
        entry(0, GOOD["NaCl"], "1"),
        entry(1, one, target),
        entry(2, GOOD["triclinic"], "3"),
    ]
    result = run(mixed)
    assert [bool(text) for text in result.reasons] == [False, True, False]
    assert reason in result.reasons[1]
    assert "\n" not in result.reasons[1]
    assert result.target.tolist() == [1, 3]
    alone = run([mixed[0], mixed[2]])
    for kind in KINDS:
        assert_same(result.graphs[kind.name], alone.graphs[kind.name])


def test_several_bad_crystals_of_all_sorts() -> None:
    bad = [entry(10 + i, one, target) for i, (one, target, _) in enumerate(BAD.values())]
    good = [entry(i, one, str(i)) for i, one in enumerate(GOOD.values())]
    mixed = [item for pair in zip(good, bad, strict=False) for item in pair]
    result = run(mixed)
    for place, (_, _, reason) in enumerate(BAD.values()):
        assert reason in result.reasons[2 * place + 1]
    assert result.target.tolist() == list(range(len(mixed) // 2))


def test_nothing_but_bad_crystals() -> None:
    result = run([entry(0, CLOSE)])
    assert result.target.shape == (0,)
    assert not any(len(graphs) for graphs in result.graphs.values()) and result.graphs
    assert len(run([]).target) == 0


def test_a_crystal_that_a_representation_cannot_hold_costs_only_itself() -> None:
    full = FullGraph(name="full", version=1, cutoff=5.0, max_neighbours=None, lattice_edges=True)
    thin = crystal([11], [(0, 0, 0)], [(3, 0, 0), (0, 3, 0), (3 * 150, 0, 100)])
    entries = [entry(0, GOOD["NaCl"]), entry(1, thin), entry(2, GOOD["Cu"])]
    result = featurise(entries, [*KINDS, full], max_atoms=100)
    assert [text.partition(";")[0] for text in result.reasons] == [
        "", "a neighbour is more than 127 cells away", "",
    ]  # fmt: skip
    assert {len(graphs) for graphs in result.graphs.values()} == {2}
    assert run(entries).reasons == ["", "", ""]


def test_a_collapsed_cell_is_refused_before_its_neighbours_are_listed() -> None:
    # all atoms of a large cell in 1 Å³: within 4 Å each has tens of thousands of neighbours
    dense = crystal([26] * 100, np.random.default_rng(0).random((100, 3)), np.eye(3))
    entries = [entry(0, dense), entry(1, GOOD["Cu"])]
    tracemalloc.start()
    result = run(entries)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6
    assert result.reasons[0].startswith("atoms too close: Fe")
    assert result.reasons[1] == ""


@pytest.mark.parametrize(("height", "atoms"), [(10.0, 200), (20.0, 400), (60.0, 900)])
def test_a_skewed_cell_that_is_dense_is_refused_in_bounded_time(height: float, atoms: int) -> None:
    # Three vectors, 120° apart and steep: short ones are only in their sums, so that the closest
    # pair is among millions of images.
    turned = [(0.6, 0.0), (-0.3, 0.3 * 3**0.5), (-0.3, -0.3 * 3**0.5)]
    lattice = np.array([(x, y, height) for x, y in turned])
    places = np.random.default_rng(0).random((atoms, 3))
    begun = time.process_time()
    result = featurise([entry(0, crystal([11] * atoms, places, lattice))], KINDS, max_atoms=1000)
    assert result.reasons[0].startswith("atoms too close: ")
    assert "Å³ an atom, so that some are nearer than 0.5 Å" in result.reasons[0]
    assert time.process_time() - begun < 5
