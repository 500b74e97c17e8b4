"""Whatever a file holds: crystals, or one line that says why not; never another exception."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzzing import searching
from trainables.compositions.reading import read_compositions
from trainables.crystals.checks import check
from trainables.crystals.crystal import BadCrystal, Crystal, Entry
from trainables.crystals.parsing import parse, parse_target
from trainables.crystals.sources import SourceError, open_source
from trainables.crystals.sources.ids import LONGEST_ID, with_sound_ids

MATRIX = [[4.2, 0, 0], [0, 4.2, 0], [0, 0, 4.2]]
SITES = [
    {"species": [{"element": "Na", "occu": 1}], "abc": [0, 0, 0]},
    {"species": [{"element": "Cl", "occu": 1}], "abc": [0.5, 0.5, 0.5]},
]
VALID = {
    "json": json.dumps(
        {"@module": "pymatgen.core.structure", "lattice": {"matrix": MATRIX}, "sites": SITES}
    ),
    "poscar": "salt\n1.0\n4.2 0 0\n0 4.2 0\n0 0 4.2\nNa Cl\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n",
    "cif": (
        "data_salt\n_cell_length_a 4.2\n_cell_length_b 4.2\n_cell_length_c 4.2\n"
        "_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 90\n"
        "_symmetry_space_group_name_H-M 'P 1'\nloop_\n_symmetry_equiv_pos_as_xyz\n'x, y, z'\n"
        "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n"
        "_atom_site_fract_y\n_atom_site_fract_z\n_atom_site_occupancy\n"
        "Na1 Na 0 0 0 1\nCl1 Cl 0.5 0.5 0.5 1\n"
    ),
}
# What a hand, a broken disk or another program puts into a file.
SCRAPS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [*"0?.;#{['\"", "nan", "-1e999", "1e-300", "-1", "99", "\n;\n", "\n\n", "loop_", "data_x\n"]
    ),
    st.sampled_from(["null", "\\ud800", "\x00", "Xx", "Fe3+", "'x+1/0, y, z'"]),
)
NESTED: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | SCRAPS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["lattice", "matrix", "sites", "species", "element", "occu", "abc"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@st.composite
def mutated(draw: st.DrawFn, form: str) -> str:
    """A valid text with some pieces cut out, doubled or replaced."""
    text = VALID[form]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        piece = draw(st.just(2 * text[start:end]) | SCRAPS)
        text = text[:start] + piece + text[end:]
    return text


def one_line(error: Exception) -> None:
    told = str(error)
    assert told and len(told.splitlines()) == 1 and len(told) < 500


def read(text: str, form: str) -> None:
    """Reads one text as one crystal of a source."""
    try:
        crystal = parse(Entry(0, "x", form, text, "1", "file:1"))
        assert isinstance(crystal, Crystal)
        check(crystal)
    except BadCrystal as bad:
        one_line(bad)
        str(bad).encode()  # it goes into quarantine.csv


@pytest.mark.parametrize("form", VALID)
def test_the_valid_texts_are_valid(form: str) -> None:
    assert parse(Entry(0, "x", form, VALID[form], "1", "file:1")).numbers.tolist() == [11, 17]


@pytest.mark.parametrize("form", VALID)
@searching(80)
@given(st.data())
def test_a_text_that_was_tampered_with(form: str, data: st.DataObject) -> None:
    read(data.draw(mutated(form)), form)


@pytest.mark.parametrize("form", VALID)
@searching(40)
@given(st.text(st.characters(codec="utf-8")) | st.lists(SCRAPS).map(" ".join))
def test_a_text_of_anything(form: str, text: str) -> None:
    read(text, form)


@searching(200)
@given(NESTED, NESTED, NESTED)
def test_json_of_anything(whole: Any, lattice: Any, sites: Any) -> None:
    read(json.dumps(whole), "json")
    read(json.dumps({"lattice": {"matrix": lattice}, "sites": SITES}), "json")
    read(json.dumps({"lattice": {"matrix": MATRIX}, "sites": sites}), "json")


@searching(200)
@given(st.text() | SCRAPS)
def test_a_target_of_anything(text: str) -> None:
    try:
        assert isinstance(parse_target(Entry(0, "x", "json", "", text, "file:1")), float)
    except BadCrystal as bad:
        one_line(bad)


BEGINNINGS = {
    "crystals.json": b'{"index": [0, 1], "columns": ["structure", "y"], "data": [[{}, 1], [',
    "crystals.csv": b"id,cif,y\n1,x,2\n",
    "id_prop.csv": b"a,1\nb,2\n",
    "crystals.parquet": b"PAR1",
    "a.cif": VALID["cif"].encode(),
    "a.vasp": VALID["poscar"].encode(),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", BEGINNINGS)
@searching(15)
@given(rest=st.binary(max_size=200) | st.lists(SCRAPS).map(lambda s: ",".join(s).encode("utf-8")))
def test_a_file_of_any_bytes(tmp_path: Path, name: str, packed: bool, rest: bytes) -> None:
    content = BEGINNINGS[name] + rest
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if packed else content)
    if name.startswith("a."):
        (tmp_path / "id_prop.csv").write_text(f"{name},1\n")
    in_folder = name.startswith(("a.", "id_prop"))
    try:
        for entry in open_source(tmp_path if in_folder else path).entries():
            read(entry.text, entry.format)
    except SourceError as error:
        one_line(error)


# JSON may hold halves of characters, which UTF-8 cannot.
NAMES = st.text(st.characters(), max_size=4) | st.sampled_from(["\ud800", "a\udfffb", "x" * 300])


@searching(60)
@given(index=st.lists(NAMES | st.integers() | st.none(), min_size=1, max_size=4), column=NAMES)
def test_ids_and_columns_of_anything(tmp_path: Path, index: list[Any], column: str) -> None:
    path = tmp_path / "crystals.json"
    data = [[json.loads(VALID["json"]), 1]] * len(index)
    path.write_text(json.dumps({"index": index, "columns": ["structure", column], "data": data}))
    try:
        source = open_source(path)
    except SourceError as error:
        one_line(error)
        str(error).encode()
        return
    assert len(source.digest()) == 64
    for entry in with_sound_ids(source.entries()):
        assert len(entry.id.encode()) <= 4 * LONGEST_ID
        read(entry.text, entry.format)


@searching(40)
@given(columns=st.lists(NAMES | st.integers(), max_size=3), cells=st.lists(NESTED, max_size=3))
def test_formulas_in_json_of_anything(tmp_path: Path, columns: list[Any], cells: list[Any]) -> None:
    path = tmp_path / "formulas.json"
    for names in (columns, ["composition", *columns], ["composition", "y"]):
        rows = [[f"Na{n}Cl", n] for n in range(1, 12)]
        path.write_text(json.dumps({"columns": names, "data": [*rows, cells, *cells]}))
        try:
            read_compositions(path)
        except SourceError as error:
            one_line(error)
            str(error).encode()


@pytest.mark.parametrize("name", ["formulas.csv", "formulas.json"])
@searching(60)
@given(rest=st.binary(max_size=100) | st.lists(SCRAPS).map(lambda s: ",".join(s).encode("utf-8")))
def test_a_file_of_formulas_and_any_bytes(tmp_path: Path, name: str, rest: bytes) -> None:
    rows = [f"Na{n}Cl,{n}" for n in range(1, 12)]
    table = "\n".join(["formula,y", *rows, ""]).encode()
    begun = b'{"columns": ["composition", "y"], "data": [["NaCl", 1], '
    path = tmp_path / name
    path.write_bytes((table if name.endswith("csv") else begun) + rest)
    try:
        read_compositions(path)
    except SourceError as error:
        one_line(error)
