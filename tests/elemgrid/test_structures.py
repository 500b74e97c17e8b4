"""Structures as objects, to the bit of what a file has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from pymatgen.core import Lattice, Structure

from elemgrid.structures import Objects, sources_from, text_of, texts_of
from orchestrator.interface.errors import UsageError
from trainables.crystals.checks import check
from trainables.crystals.crystal import BadCrystal, Crystal
from trainables.crystals.parsing import parse


def salt(**changes: Any) -> Structure:
    sites: dict[str, Any] = {"species": ["Na", "Cl"], "coords": [[0, 0, 0], [0.5, 0.5, 0.5]]}
    return Structure(Lattice.cubic(3.99), **sites | changes)


def read(structure: object) -> Crystal:
    ((entry,),) = ([*source.entries()] for source in sources_from(structure))
    return parse(entry)


def test_an_object_is_what_its_json_is() -> None:
    """Of a cell without symmetry, to the last bit."""
    rng = np.random.default_rng(0)
    lattice = Lattice(rng.normal(size=(3, 3)) + 6 * np.eye(3))
    structure = Structure(lattice, ["Na", "Cl", "O"], rng.random((3, 3)))
    given, told = read(structure), read(json.loads(structure.to_json()))
    for name in ("numbers", "frac", "lattice"):
        assert getattr(given, name).tobytes() == getattr(told, name).tobytes()


def test_only_what_is_read_is_taken() -> None:
    """Properties of sites may be of classes that no parser looks up."""
    structure = salt(site_properties={"magmom": [object(), None]})
    assert read(structure).numbers.tolist() == [11, 17]
    assert read(salt(species=["Na+", "Cl-"])).numbers.tolist() == [11, 17]


@pytest.mark.parametrize(
    ("strange", "why"),
    [
        (salt(species=[{"Na": 0.5, "K": 0.5}, "Cl"]), "partial occupancy: site 1"),
        (salt(species=["X", "Cl"]), "unknown element"),
        (Structure(Lattice.cubic(4, pbc=(True, True, False)), ["Na"], [[0, 0, 0]]), "not periodic"),
        (salt(coords=[[0, 0, 0], [np.nan, 0, 0]]), "finite"),
    ],
)
def test_what_no_file_may_be_no_object_may_be(strange: Structure, why: str) -> None:
    with pytest.raises(BadCrystal, match=why):
        check(read(strange))


def test_ase_atoms() -> None:
    found = read(Atoms("NaCl", positions=[[0, 0, 0], [2, 1, 0.4]], cell=[4, 5, 8], pbc=True))
    np.testing.assert_allclose(found.frac, [[0, 0, 0], [0.5, 0.2, 0.05]])
    assert found.numbers.tolist() == [11, 17]
    with pytest.raises(BadCrystal, match="not periodic"):
        read(Atoms("O2", positions=[[0, 0, 0], [0, 0, 1.2]]))


def test_names_are_those_given() -> None:
    (source,) = sources_from({"a": salt(), 7: salt()})
    assert [entry.id for entry in source.entries()] == ["a", "7"]
    assert source.count() == 2
    (source,) = sources_from(pd.Series([salt()], index=["mp-1"]))
    assert [entry.id for entry in source.entries()] == ["mp-1"]
    (source,) = sources_from(salt() for _ in range(2))
    assert [entry.id for entry in source.entries()] == ["0", "1"]


def test_paths_are_those_of_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "a.cif"
    salt().to(filename=str(path))
    for given in (path, str(path), [path]):
        (source,) = sources_from(given)
        assert [entry.id for entry in source.entries()] == [str(path)]
    with pytest.raises(UsageError, match="no such file"):
        sources_from(str(tmp_path / "b.cif"))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([salt(), "a.cif"], "structure 1: is a str; give a pymatgen Structure"),
        ([None], "structure 0: is a NoneType"),
        (pd.DataFrame({"structure": [salt()]}), "structure structure: is a Series"),
        (5, "int holds no structures"),
        (pd.Series([salt(), salt()], index=["a", "a"]), "same name"),
        ([{"sites": [object()], "lattice": {}}], "holds a object"),
    ],
)
def test_what_is_no_structure_is_named(given: object, why: str) -> None:
    with pytest.raises(TypeError, match=why):
        sources_from(given)


def test_a_digest_tells_names_and_structures_apart() -> None:
    texts = texts_of([salt(), salt(species=["K", "Cl"])])
    others = [
        texts,
        texts_of({"a": salt(), "1": salt(species=["K", "Cl"])}),
        {"0": texts["1"], "1": texts["0"]},
    ]
    assert len({Objects(one).digest() for one in others}) == 3
    assert text_of(salt()) == texts["0"]
