"""Which features a site allows, against tables of site symmetries."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Structure

from scripts import equivariance_room, gain_by_room
from trainables.crystals.crystal import Crystal
from trainables.representations.equivariance_room import Room, allowed
from trainables.representations.orbit_graph import OrbitGraph, OrbitGraphs
from trainables.representations.space_group import turn_of
from trainables.testing.crystals import crystal, named_crystals, triclinic
from trainables.testing.samples import built

KIND = OrbitGraph(name="sites", version=1, cutoff=4.0, max_neighbours=None)
CRYSTALS = named_crystals()
X, Y, Z = np.diag([1.0, -1, -1]), np.diag([-1.0, 1, -1]), np.diag([-1.0, -1, 1])
CYCLE = np.eye(3)[[2, 0, 1]]
FOURTH = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
# Generators, and the numbers of independent vectors (1o), deviators (2e) and third orders (3o).
SITES = {
    "1": ([], (3, 5, 7)),
    "-1": ([-np.eye(3)], (0, 5, 0)),
    "m": ([-Z], (2, 3, 4)),
    "2": ([Z], (1, 3, 3)),
    "2/m": ([Z, -Z], (0, 3, 0)),
    "222": ([X, Y], (0, 2, 1)),
    "mm2": ([Z, -X], (1, 2, 2)),
    "mmm": ([X, Y, -X], (0, 2, 0)),
    "4": ([FOURTH], (1, 1, 1)),
    "-4": ([-FOURTH], (0, 1, 2)),
    "4mm": ([FOURTH, -X], (1, 1, 1)),
    "-42m": ([-FOURTH, X], (0, 1, 1)),
    "3": ([CYCLE], (1, 1, 3)),
    "-3": ([-CYCLE], (0, 1, 0)),
    "23": ([CYCLE, X], (0, 0, 1)),
    "-43m": ([CYCLE, X, -FOURTH], (0, 0, 1)),
    "432": ([CYCLE, X, FOURTH], (0, 0, 0)),
    "m-3m": ([CYCLE, X, FOURTH, -X], (0, 0, 0)),
}


def site_of(generators: list[np.ndarray]) -> np.uint64:
    """The bits of the group that rotations generate."""
    found = {0: np.eye(3)}
    while True:
        more = np.array([a @ b for a in found.values() for b in [np.eye(3), *generators]])
        grown = dict(zip(turn_of(more).tolist(), more, strict=True))
        if len(grown) == len(found):
            return np.bitwise_or.reduce(np.uint64(1) << np.array(list(found), np.uint64))
        found = grown


@pytest.mark.parametrize("name", SITES)
def test_a_site_allows_what_its_group_says(name: str) -> None:
    generators, wanted = SITES[name]
    assert tuple(allowed(np.array([site_of(generators)]))[0]) == wanted


def room_of(*crystals: Crystal) -> Room:
    graphs = built(crystals, KIND)
    assert isinstance(graphs, OrbitGraphs)
    return Room.of(graphs)


def test_rock_salt_allows_nothing_and_wurtzite_a_vector_on_each_atom() -> None:
    assert room_of(CRYSTALS["NaCl"]) == Room(1, 2, 2, 2, 2, 1, 0)  # m-3m twice
    assert room_of(CRYSTALS["ZnO"]) == Room(1, 2, 0, 0, 0, 0, 0)  # 3m twice
    assert room_of(CRYSTALS["SrTiO3"]) == Room(1, 3, 3, 2, 2, 0, 0)  # m-3m twice, 4/mmm
    spinel = room_of(CRYSTALS["MgAl2O4"])  # -43m, -3m, 3m
    assert spinel == Room(1, 3, 2, 1, 1, 0, 0)


def test_crystals_are_counted_together() -> None:
    zincblende = crystal([30, 16], [(0, 0, 0), (0.25,) * 3], 2.7 * (1 - np.eye(3)))
    without = triclinic(4, seed=2)
    assert room_of(zincblende, without, CRYSTALS["NaCl"]) == Room(3, 8, 4, 4, 4, 2, 0)


def test_no_crystals_have_no_orbits() -> None:
    assert Room.of(OrbitGraphs.empty()) == Room(0, 0, 0, 0, 0, 0, 0)


def two_and_a_bad_one(folder: Path) -> Path:
    """NaCl, ZnO and a structure without atoms, in a file."""
    listed = [
        {"id": name, "structure": Structure(one.lattice, one.numbers, one.frac).as_dict()}
        for name, one in (("NaCl", CRYSTALS["NaCl"]), ("ZnO", CRYSTALS["ZnO"]))
    ]
    path = folder / "two.json"
    path.write_text(json.dumps([*listed, {"id": "none", "structure": {"sites": []}}]))
    return path


def test_the_script_prints_a_row_a_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = two_and_a_bad_one(tmp_path)
    monkeypatch.setattr(sys, "argv", ["equivariance_room.py", str(path)])
    equivariance_room.main()
    rows = capsys.readouterr().out.splitlines()
    assert rows[2:] == ["| two | 2 | 1 | 0 | 4 | 50.0% | 50.0% | 50.0% |"]


def test_flat_crystals_are_told_by_their_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in blocks of one crystal, of which the last has none that is good."""
    path = two_and_a_bad_one(tmp_path)
    for block in (256, 1):
        monkeypatch.setattr("trainables.representations.equivariance_room.BLOCK", block)
        assert gain_by_room.flat_ones(path).to_dict() == {"NaCl": True, "ZnO": False}
