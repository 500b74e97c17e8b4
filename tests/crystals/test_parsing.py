"""Every way in which one crystal or its target can be wrong, and the readings that must work."""

import json
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from trainables.crystals.crystal import BadCrystal, Crystal, Entry
from trainables.crystals.parsing import parse, parse_target

CIF = """data_test
_cell_length_a 4.2
_cell_length_b 4.2
_cell_length_c 4.2
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
{}
"""
POSCAR = "salt\n1.0\n4 0 0\n0 4 0\n0 0 4\n{}1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"


CUBE = {"matrix": [[4.2, 0, 0], [0, 4.2, 0], [0, 0, 4.2]]}


def entry(text: str, form: str = "json", target: str = "1.0") -> Entry:
    return Entry(0, "x", form, text, target, "x:1")


def salt(**changes: Any) -> dict[str, Any]:
    sites = [
        {"species": [{"element": "Na", "occu": 1}], "abc": [0.0, 0.0, 0.0]},
        {"species": [{"element": "Cl", "occu": 1}], "abc": [0.5, 0.5, 0.5]},
    ]
    data = {"@module": "pymatgen.core.structure", "@class": "Structure", "sites": sites}
    data["lattice"] = {"matrix": [[4.2, 0, 0], [0, 4.2, 0], [0, 0, 4.2]]}
    return {**data, **changes}


def read(data: Any) -> Crystal:
    return parse(entry(json.dumps(data)))


def refused(data: Any, words: str) -> None:
    with pytest.raises(BadCrystal, match=words) as caught:
        read(data)
    assert "\n" not in str(caught.value)


def refused_text(text: str, form: str, words: str) -> None:
    with pytest.raises(BadCrystal, match=words) as caught:
        parse(entry(text, form))
    assert "\n" not in str(caught.value)


def test_json_gives_numbers_coordinates_and_cell() -> None:
    crystal = read(salt())
    assert crystal.numbers.dtype == np.uint8
    assert crystal.numbers.tolist() == [11, 17]
    assert crystal.frac.tolist() == [[0, 0, 0], [0.5, 0.5, 0.5]]
    assert crystal.lattice.tolist() == (4.2 * np.eye(3)).tolist()


def test_json_written_by_pymatgen_is_read_alike() -> None:
    lattice = Lattice.from_parameters(3.1, 4.2, 5.3, 80, 95, 110)
    structure = Structure(lattice, ["Fe2+", "O2-"], [[0.1, 0.2, 0.3], [0.6, 0.7, 0.8]])
    crystal = read(structure.as_dict())
    assert crystal.numbers.tolist() == [26, 8]
    np.testing.assert_allclose(crystal.frac, structure.frac_coords, atol=1e-14)
    np.testing.assert_allclose(crystal.lattice, structure.lattice.matrix, atol=1e-14)


def test_cartesian_coordinates_serve_where_fractional_ones_are_missing() -> None:
    lattice = Lattice.from_parameters(3.1, 4.2, 5.3, 80, 95, 110)
    structure = Structure(lattice, ["Fe", "O"], [[0.1, 0.2, 0.3], [0.6, 0.7, 0.8]])
    data = structure.as_dict()
    for site in data["sites"]:
        del site["abc"]
    np.testing.assert_allclose(read(data).frac, structure.frac_coords, atol=1e-12)


@pytest.mark.parametrize(
    ("label", "number"),
    [("Fe", 26), ("Fe2+", 26), ("Fe+2", 26), ("Fe3+,spin=5", 26), ("O2-", 8), ("Cl-", 17),
     ("Fe3+,spin:5", 26), ("Na+", 11), ("Fe2.5+", 26),
     ("Fe0+", 26), ("D", 1), ("T", 1), ("D+", 1), ("Og", 118)],
)  # fmt: skip
def test_species_labels(label: str, number: int) -> None:
    sites = [{"species": [{"element": label, "oxidation_state": 2, "occu": 1}], "abc": [0, 0, 0]}]
    assert read(salt(sites=sites)).numbers.tolist() == [number]


@pytest.mark.parametrize("label", ["Xx", "X", "", "fe", "FE", "Fe2", "Uue", "Na,Cl", "Na, Cl",
                                   "Na+,Cl-", "Na,", "Fe3+,spin=5,O", 26, None])  # fmt: skip
def test_unknown_element(label: object) -> None:
    sites = [{"species": [{"element": label, "occu": 1}], "abc": [0, 0, 0]}]
    refused(salt(sites=sites), "unknown element")


def test_partial_occupancy() -> None:
    half = [{"species": [{"element": "Na", "occu": 0.5}], "abc": [0, 0, 0]}]
    mixed = [{"element": "Na", "occu": 0.5}, {"element": "K", "occu": 0.5}]
    refused(salt(sites=half), "partial occupancy: site 1 is filled to 0.5")
    refused(salt(sites=[{"species": mixed, "abc": [0, 0, 0]}]), "partial occupancy: .* 2 species")
    refused(salt(sites=[{"species": [], "abc": [0, 0, 0]}]), "partial occupancy: .* 0 species")


@pytest.mark.parametrize("occupancy", [1, 1.0, 0.9999, 1.0001])
def test_occupancies_that_are_rounded(occupancy: float) -> None:
    full = [{"species": [{"element": "Na", "occu": occupancy}], "abc": [0, 0, 0]}]
    assert read(salt(sites=full)).numbers.tolist() == [11]


def test_a_structure_without_atoms_is_left_to_the_checks() -> None:
    crystal = read(salt(sites=[]))
    assert crystal.numbers.shape == (0,)
    assert crystal.frac.shape == (0, 3)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([1, 2], "not an object"),
        ({"sites": []}, "lacks 'lattice'"),
        ({"lattice": {"matrix": np.eye(3).tolist()}}, "lacks 'sites'"),
        (salt(lattice={"a": 1}), "lacks 'matrix'"),
        (salt(lattice={"matrix": [[1, 0], [0, 1]]}), "shape"),
        (salt(lattice={"matrix": "cubic"}), "broken structure"),
        (salt(lattice=None), "broken structure"),
        (salt(sites=[{"species": [{"element": "Na"}], "abc": [0, 0]}]), "shape"),
        (salt(sites=[{"species": [{"element": "Na"}], "abc": ["x", 0, 0]}]), "broken structure"),
        (salt(sites=[{"species": {"element": "Na"}, "abc": [0, 0, 0]}]), "broken structure"),
        (salt(sites=["Na"]), "broken structure"),
        (salt(**{"@class": "Molecule"}), "the JSON is a 'Molecule'"),
        (salt(**{"@class": None}), "the JSON is a 'None'"),
        (salt(lattice={**CUBE, "pbc": [True, True, False]}), r"not periodic: .* set pbc to true"),
        (salt(lattice={**CUBE, "pbc": []}), "not periodic"),
        (salt(lattice={**CUBE, "a": 4.3}), "its a is 4.3 and 4.2 by the matrix"),
        (salt(lattice={**CUBE, "gamma": 120}), "its gamma is 120 and 90 by the matrix"),
        (salt(sites=7), "broken structure"),
    ],
)
def test_json_that_is_no_structure(data: Any, words: str) -> None:
    refused(data, words)


@pytest.mark.parametrize(("xyz", "apart"), [([2.1, 2.1, 2.12], "0.02"), ([0, 0, 0], "3.64")])
@pytest.mark.parametrize("kept", [("abc",), ()])
def test_two_coordinates_of_a_site_have_to_agree(
    xyz: list[float], apart: str, kept: tuple[str, ...]
) -> None:
    data = salt()
    data["sites"][0].update(xyz=[0, 0, 0])
    data["sites"][1].update(xyz=xyz)
    if not kept:  # the other site has xyz alone
        del data["sites"][0]["abc"]
    refused(data, f"abc and xyz of site 2 are {apart} Å apart")
    for same in ([2.1, 2.1, 2.1], [2.1, 2.1, 2.105], [2.1, 6.3, 2.1], None):
        data["sites"][1].update(xyz=same)
        if same or kept:
            assert read(data).numbers.tolist() == [11, 17], "images and rounding are one place"


def standing(height: float, middle: float, *, periodic: object = (True, True, False)) -> Any:
    """Two layers 2 Å apart, about a height (Å) in a cell, as ASE has slabs."""
    matrix = [[4.2, 0, 0], [0, 4.2, 0], [0, 0, height]]
    sites = [
        {"species": [{"element": element}], "xyz": [0, 0, middle + up]}
        for element, up in (("Na", -1), ("Cl", 1))
    ]
    return entry(json.dumps({"lattice": {"matrix": matrix, "pbc": periodic}, "sites": sites}))


def test_a_slab_may_repeat_along_a_and_b_alone() -> None:
    for middle in (5.0, 0.0):  # within the cell, and beyond it: it is the same slab
        found = parse(standing(18, middle), slab=True)
        same = parse(standing(18, middle, periodic=[True] * 3), slab=True)
        np.testing.assert_array_equal(found.frac, same.frac)
        np.testing.assert_array_equal(found.lattice, same.lattice)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (standing(0, 5), r"no vacuum: .* no third vector; .*vacuum=10, axis=2"),
        (standing(9.9, 5), r"too little vacuum: atoms are 7.9 Å apart .*vacuum=10, axis=2"),
        (standing(1.5, 5), "too little vacuum: atoms are 0 Å apart"),
        (standing(18, 5, periodic=[True, False, True]), "not periodic: .* along a and b, with vac"),
        (standing(18, 5, periodic=[False] * 3), "not periodic"),
    ],
)
def test_a_slab_needs_vacuum_along_c_and_no_other_edge(given: Entry, words: str) -> None:
    with pytest.raises(BadCrystal, match=words) as caught:
        parse(given, slab=True)
    assert "\n" not in str(caught.value)


def test_a_lattice_with_all_that_pymatgen_writes_is_read() -> None:
    full = {**CUBE, "a": 4.2, "b": 4.2003, "c": 4.2, "alpha": 90.0, "beta": 90, "gamma": 90}
    for periodic in ([True, True, True], None):
        assert read(salt(lattice={**full, "pbc": periodic})).frac.shape == (2, 3)


@pytest.mark.parametrize("text", ["{", "nonsense", '{"a": 1} {', "[" * 100_000])
def test_broken_json(text: str) -> None:
    refused_text(text, "json", "broken JSON")


@pytest.mark.parametrize("form", ["json", "cif", "poscar"])
def test_empty_text(form: str) -> None:
    refused_text(" \n", form, "no structure")


def test_cif() -> None:
    text = CIF.format("Na1 Na 0 0 0 1\nCl1 Cl 0.5 0.5 0.5 1")
    for variant in (text, text.replace("\n", "\r\n")):
        crystal = parse(entry(variant, "cif"))
        assert sorted(crystal.numbers.tolist()) == [11, 17]
        np.testing.assert_allclose(crystal.lattice, 4.2 * np.eye(3), atol=1e-12)


def test_cif_keeps_the_cell_of_the_file() -> None:
    face_centred = "Cu1 Cu 0 0 0 1\nCu2 Cu 0 .5 .5 1\nCu3 Cu .5 0 .5 1\nCu4 Cu .5 .5 0 1"
    assert len(parse(entry(CIF.format(face_centred), "cif")).numbers) == 4


def test_reading_a_cif_prints_no_warnings(recwarn: pytest.WarningsRecorder) -> None:
    parse(entry(CIF.format("Na1 Na 0 0 0 1\nCl1 Cl 0.33333 0.5 0.5 1"), "cif"))
    assert len(recwarn) == 0


@pytest.mark.parametrize(
    ("atoms", "words"),
    [
        ("Na1 Na 0 0 0 0.5\nCl1 Cl 0.5 0.5 0.5 1", "partial occupancy"),
        ("Na1 Na 0 0 0 0.5\nK1 K 0 0 0 0.5", "partial occupancy"),
        ("Na1 Na 0 0 0 1\nCl1 Cl 0 0 0.00001 1", "too close"),
        ("Zz1 Zz 0 0 0 1\nCl1 Cl 0.5 0.5 0.5 1", "unknown element"),
        ("X1 X 0 0 0 1\nCl1 Cl 0.5 0.5 0.5 1", "unknown element"),
        ("1 ? 0 0 0 1\nCl1 Cl 0.5 0.5 0.5 1", "unknown element"),
        ("Na1 Na nan 0 0 1\nCl1 Cl 0.5 0.5 0.5 1", "not finite"),
        ("Na1 Na ? 0 0 1", "no structure"),
        ("Na1 Na 0 0", "no structure"),
        ("Wat1 Wat 0 0 0 1", "hydrogens"),
    ],
)
def test_bad_cif_atoms(atoms: str, words: str) -> None:
    refused_text(CIF.format(atoms), "cif", words)


@pytest.mark.parametrize("text", ["garbage", "data_x\n", "data_x\nloop_\n", CIF[:150], "\x00\x01"])
def test_broken_cif(text: str) -> None:
    refused_text(text, "cif", "no structure")


def test_cif_with_several_structures() -> None:
    one = CIF.format("Na1 Na 0 0 0 1")
    refused_text(one + one.replace("data_test", "data_other"), "cif", "2 structures")


def test_thin_cif_cell() -> None:
    text = CIF.format("Na1 Na 0 0 0 1").replace("length_c 4.2", "length_c 0")
    refused_text(text, "cif", "cell too thin|no structure")


def test_poscar() -> None:
    for text in (POSCAR.format("Na Cl\n"), POSCAR.format("Na Cl\n").replace("\n", "\r\n")):
        crystal = parse(entry(text, "poscar"))
        assert crystal.numbers.tolist() == [11, 17]
        assert crystal.lattice[0, 0] == 4.0


def test_poscar_without_elements_is_not_guessed() -> None:
    refused_text(POSCAR.format(""), "poscar", "names no elements")


@pytest.mark.parametrize("text", ["x\n1.0\n", POSCAR.format("Na Cl\n")[:50], "word " * 50])
def test_broken_poscar(text: str) -> None:
    refused_text(text, "poscar", "no structure")


def test_unknown_poscar_element() -> None:
    refused_text(POSCAR.format("Na Zz\n"), "poscar", "no structure|unknown element")


def test_a_row_that_the_source_could_not_deliver_keeps_its_reason() -> None:
    refused_text("no structure file: a.cif", "bad", "^no structure file: a.cif$")


def test_unknown_format() -> None:
    refused_text("x", "xyz", "unknown format")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1.0), (" -2.5e-3 ", -0.0025), (".5", 0.5), ("+3.", 3.0), ("true", 1.0), ("False", 0.0)],
)
def test_targets(text: str, value: float) -> None:
    assert parse_target(entry("", target=text)) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "missing target"),
        ("  ", "missing target"),
        ("null", "missing target"),
        ("None", "missing target"),
        ("NaN", "missing target: the cell says 'NaN'"),
        ("N/A", "missing target"),
        ("-", "missing target"),
        ("?", "missing target"),
        ("1e31", "target too large: 1e31 is beyond 1e\\+30"),
        ("-1e307", "target too large.*another unit"),
        ("-Infinity", "not finite"),
        ("1e999", "not finite"),
        ("high", "not a number"),
        ('"3.5"', "not a number"),
        ("1_000", "not a number"),
        ("1,5", "not a number"),
        ("[1]", "not a number"),
        ("0x10", "not a number"),
    ],
)
def test_bad_targets(text: str, words: str) -> None:
    with pytest.raises(BadCrystal, match=words):
        parse_target(entry("", target=text))
