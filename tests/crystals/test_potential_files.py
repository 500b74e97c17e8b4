"""Files of crystals with potentials: what is read, joined, quarantined and refused."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ase import Atoms
from ase.db import connect
from ase.db.core import bytes_to_object, object_to_bytes
from hypothesis import given
from hypothesis import strategies as st

from tests.crystals.made_potentials import FERMI, made, monolayer, rows
from tests.fuzzing import searching
from trainables.crystals.crystal import BadCrystal, Entry
from trainables.crystals.parsing import parse
from trainables.crystals.potentials import Potential
from trainables.crystals.slabs import GeneratedSlabs
from trainables.crystals.sources import SourceError
from trainables.crystals.sources.ase_data import AseData, data_of
from trainables.crystals.sources.potential_cells import Names
from trainables.crystals.sources.potentials import open_potentials

HEIGHT = 25.0
Z = (np.arange(400) * HEIGHT / 400).tolist()


def write(path: Path, table: dict[str, list[Any]]) -> Path:
    pq.write_table(pa.table(table), path)
    return path


def works(entries: list[Entry]) -> list[float | str]:
    """The work function of each entry, or why it is bad."""
    return [
        one.text
        if one.format == "bad"
        else round(Potential.read(one.target or "").work_function, 3)
        for one in entries
    ]


def read(path: Path, **settings: Any) -> list[float | str]:
    return works(list(open_potentials(path, **settings).entries()))


def test_parquet_has_structures_and_potentials(tmp_path: Path) -> None:
    source = open_potentials(write(tmp_path / "a.parquet", rows(3)))
    entries = list(source.entries())
    assert works(entries) == [5.0, 5.1, 5.2]
    assert [one.id for one in entries] == ["m-0", "m-1", "m-2"] and source.count() == 3
    assert parse(entries[0]).numbers.tolist() == [11, 17]
    potential = Potential.read(entries[2].target or "")
    assert potential.height == pytest.approx(HEIGHT) and potential.step == pytest.approx(0.4)
    assert np.array_equal(potential.potential, made(shift=0.2, step=0.4))


def test_vacuum_levels_and_coordinates_may_be_there(tmp_path: Path) -> None:
    table = rows(3, z_angstrom=Z)
    assert read(write(tmp_path / "z.parquet", table)) == [5.0, 5.1, 5.2]
    one = table | {"vacuum_ev": [3.01, 3.2, None]}
    assert read(write(tmp_path / "one.parquet", one)) == [5.01, 5.1, 5.2]
    two = table | {"vacuum_ev": [[3.0, 3.01], None, [3.0, 3.0]]}
    assert read(write(tmp_path / "two.parquet", two)) == [
        5.005,
        5.1,
        "vacuum level off: 3 and 3 eV is given, and the potential is flat at 3 and 3.4 eV (below"
        " and above the slab)",
    ]


def test_other_names_are_given(tmp_path: Path) -> None:
    table = rows(1)
    table["v"], table["mu"] = table.pop("potential_ev"), table.pop("fermi_ev")
    path = write(tmp_path / "a.parquet", table)
    with pytest.raises(SourceError, match=r"no column potential_ev or .* --potential"):
        open_potentials(path)
    with pytest.raises(SourceError, match=r"no column 'muu' \(did you mean 'mu'\?\)"):
        open_potentials(path, names=Names(potential="v", fermi="muu"))
    with pytest.raises(SourceError, match=r"'v' holds list<.*no numbers; name another by --fermi"):
        open_potentials(path, names=Names(potential="v", fermi="v"))
    assert read(path, names=Names(potential="v", fermi="mu")) == [5.0]


def at_row(name: str, value: Any) -> dict[str, list[Any]]:
    """Three rows, of which the second has another value in a column."""
    table = rows(3)
    table[name] = [table[name][0], value, table[name][2]]
    return table


BAD: dict[str, tuple[str, Any]] = {
    "no structure: the JSON text is empty": ("structure", None),
    "broken JSON": ("structure", "{"),
    "missing potential_ev: the cell is empty": ("potential_ev", None),
    "too few points: 0": ("potential_ev", []),
    "potential is not finite: point 4": ("potential_ev", [*made()[:3], None, *made()[4:]]),
    "missing fermi_ev: the cell is empty": ("fermi_ev", None),
    "Fermi level is no finite number": ("fermi_ev", float("nan")),
    "too little vacuum: atoms are 4.2 Å apart along c": ("structure", monolayer(8.0, 4.2)),
    "zero volume": ("structure", monolayer().replace("[0, 4, 0]", "[4, 0, 0]")),
    "constant potential": ("potential_ev", [3.0] * 400),
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_row_affects_only_itself(tmp_path: Path, reason: str) -> None:
    name, value = BAD[reason]
    first, bad, last = read(write(tmp_path / "a.parquet", at_row(name, value)))
    assert (first, last) == (5.0, 5.2) and isinstance(bad, str)
    assert bad.startswith(reason) and len(bad.splitlines()) == 1


def test_a_potential_of_another_cell_is_bad(tmp_path: Path) -> None:
    table = rows(2, z_angstrom=Z)
    table["structure"][1] = monolayer(27.0, 22.0)
    good, bad = read(write(tmp_path / "a.parquet", table))
    assert good == 5.0 and str(bad).startswith(
        "z does not span the cell: 400 points 0.0625 Å apart"
    )


def test_a_potential_of_other_atoms_is_bad(tmp_path: Path) -> None:
    moved = rows(3, z_angstrom=Z)
    moved["z_angstrom"][1] = [one + 5.0 for one in Z]
    first, bad, last = read(write(tmp_path / "a.parquet", moved))
    assert (first, last) == (5.0, 5.2) and str(bad).startswith("atoms and wells do not match: ")


def halves(folder: Path) -> tuple[Path, Path, dict[str, list[Any]]]:
    """Four structures, and the columns of a file of their profiles, in another order."""
    table = rows(4)
    structures = write(folder / "s.parquet", {name: table[name] for name in ("id", "structure")})
    profiles = {name: table[name][::-1] for name in ("id", "potential_ev", "fermi_ev")}
    return structures, folder / "profiles.parquet", profiles


def test_profiles_of_another_file_are_joined_by_id(tmp_path: Path) -> None:
    structures, path, profiles = halves(tmp_path)
    source = open_potentials(structures, write(path, profiles))
    assert works(list(source.entries())) == [5.0, 5.1, 5.2, 5.3]
    before = source.digest()
    profiles["fermi_ev"][0] -= 0.1
    assert open_potentials(structures, write(path, profiles)).digest() != before


def test_ids_without_a_partner_are_quarantined(tmp_path: Path) -> None:
    structures, path, profiles = halves(tmp_path)
    profiles["id"][0], profiles["fermi_ev"][1] = "stranger", None
    entries = list(open_potentials(structures, write(path, profiles)).entries())
    assert works(entries) == [
        5.0,
        5.1,
        "missing fermi_ev: the cell is empty",
        "no profile of this id in profiles.parquet",
        "profile of an unknown id",
    ]
    assert entries[-1].id == "stranger" and entries[-1].origin == "profiles.parquet:1"
    assert [one.row for one in entries] == list(range(5))


def test_profiles_that_cannot_be_joined_are_refused(tmp_path: Path) -> None:
    structures, path, profiles = halves(tmp_path)
    profiles["id"][2] = "m-3"
    with pytest.raises(SourceError, match="two profiles of id 'm-3', in rows 1 and 3; leave one"):
        open_potentials(structures, write(path, profiles))
    with pytest.raises(SourceError, match="it has no rows"):
        open_potentials(structures, write(path, {name: [] for name in profiles} | {
            "potential_ev": pa.array([], pa.list_(pa.float64())),
            "fermi_ev": pa.array([], pa.float64()),
        }))  # fmt: skip
    del profiles["id"]
    with pytest.raises(SourceError, match="no column material_id or id or mbid"):
        open_potentials(structures, write(path, profiles))
    with pytest.raises(SourceError, match=r"potentials are read from .parquet and .db"):
        open_potentials(tmp_path / "a.csv")


def layer() -> Atoms:
    """The monolayer as ASE has it."""
    crystal = parse(Entry(0, "x", "json", monolayer(), None, ""))
    return Atoms(crystal.numbers, cell=crystal.lattice, scaled_positions=crystal.frac, pbc=True)


def database(path: Path, *found: tuple[dict[str, Any], dict[str, Any]]) -> Path:
    """A database of ASE with the pairs and the data of each row."""
    with connect(path) as into:
        for pairs, data in found:
            into.write(layer(), key_value_pairs=pairs, data=data)
    return path


def test_a_database_of_ase_has_potentials_in_its_data(tmp_path: Path) -> None:
    two = np.column_stack([Z, made()])
    path = database(
        tmp_path / "a.db",
        ({"efermi": FERMI, "evac": 3.01}, {"potential": made()}),
        ({"efermi": FERMI}, {"potential": made().astype("f4").tolist(), "evac": [3.0, 3.0]}),
        ({"efermi": FERMI}, {"potential": two}),
        ({}, {"potential": two.T, "efermi": np.array([FERMI]), "other": {"x": [1]}}),
        ({}, {"potential": made(), "z": np.array(Z), "efermi": FERMI}),
    )
    source = open_potentials(path)
    entries = list(source.entries())
    assert works(entries) == [5.01, 5.0, 5.0, 5.0, 5.0]
    assert [one.id for one in entries] == ["1", "2", "3", "4", "5"]
    assert parse(entries[0]).numbers.tolist() == [11, 17]


def test_a_slab_as_ase_makes_it_repeats_along_a_and_b_alone(tmp_path: Path) -> None:
    made_by_ase, flat = layer(), layer()
    made_by_ase.pbc = flat.pbc = (True, True, False)
    flat.cell[2] = 0
    with connect(tmp_path / "a.db") as into:
        for one in (made_by_ase, flat):
            into.write(one, key_value_pairs={"efermi": FERMI}, data={"potential": made()})
    taken, refused = open_potentials(tmp_path / "a.db").entries()
    assert works([taken]) == [5.0] and refused.text.startswith("no vacuum: the cell of the slab")


def test_names_within_objects_are_given(tmp_path: Path) -> None:
    data = {"dft": {"V": made(), "levels": {"ef": 1}}, "mu": FERMI}
    path = database(tmp_path / "a.db", ({}, data))
    with pytest.raises(SourceError, match=r"no row has .* by --potential, one of .*dft\.V"):
        open_potentials(path)
    assert read(path, names=Names(potential="dft.V", fermi="mu")) == [5.0]


def test_names_may_have_dots_of_their_own() -> None:
    data = data_of(json.dumps({"a.b": {"c": [1, 2]}, "a": {"b": 3, "x.y": 4}, "a.x.y": 5}), {})
    found = data.agreed(["A.B.C"])
    assert found is not None and found.tolist() == [1, 2]
    with pytest.raises(BadCrystal, match=r"a\.x\.y is there twice with different numbers"):
        data.agreed(["a.x.y"])
    assert data.agreed(["a.c"]) is None


def test_rows_of_a_database_without_a_modality_are_bad(tmp_path: Path) -> None:
    good = ({"efermi": FERMI}, {"potential": made()})
    path = database(
        tmp_path / "a.db",
        good,
        ({"efermi": FERMI}, {}),
        ({}, {"potential": made()}),
        ({"efermi": FERMI}, {"potential": "text"}),
        ({"efermi": FERMI}, {"potential": np.ones((3, 3, 3))}),
        ({"efermi": FERMI}, {"potential": np.array(["a", "b"])}),
        ({"efermi": FERMI}, {"potential": [[1, 2], [3]]}),
        ({}, {"potential": made(), "efermi": [1.0, 2.0]}),
        good,
    )
    found = read(path)
    assert found[0] == found[-1] == 5.0
    assert found[1:-1] == [
        "missing potential_ev: the row has no such value",
        "missing fermi_ev: the row has no such value",
        "potential is no number: 'text'",
        "potential has another shape: (3, 3, 3), not one column, or z and the potential",
        "potential holds no numbers: its type is str32",
        "potential holds no numbers",
        "Fermi level is no number: 2 numbers",
    ]


def test_values_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    """Under two names, or under one in the data and in the pairs."""
    potential, other = {"potential": made()}, made() + 0.1
    path = database(
        tmp_path / "a.db",
        ({"efermi": FERMI}, {**potential, "efermi": FERMI - 1}),
        ({"efermi": FERMI}, {**potential, "fermi": FERMI - 1}),
        ({"efermi": FERMI}, {**potential, "locpot": other}),
        ({"efermi": FERMI, "evac": 3.0}, {**potential, "vacuum": 3.1}),
        ({"efermi": FERMI}, {**potential, "z": np.array(Z), "z_angstrom": np.array(Z) + 1}),
        ({"efermi": FERMI}, {**potential, "fermi": FERMI + 1e-9, "locpot": made().tolist()}),
        ({"efermi": FERMI}, {**potential, "fermi": "see efermi"}),
    )
    assert read(path) == [
        "ambiguous values: efermi is there twice with different numbers; leave one",
        "ambiguous values: fermi and efermi differ; leave one",
        "ambiguous values: potential and locpot differ; leave one",
        "ambiguous values: vacuum and evac differ; leave one",
        "ambiguous values: z_angstrom and z differ; leave one",
        5.0,
        "fermi is no number: 'see efermi'",
    ]


def numbers(data: AseData, name: str) -> np.ndarray:
    found = data.agreed([name])
    assert found is not None
    return found


def test_what_ase_writes_is_what_is_read() -> None:
    for kind in ("f8", "f4", "i8", "i4", "u1"):
        array = np.arange(12, dtype=kind).reshape(3, 4)
        packed = object_to_bytes({"a": array, "b": {"c": array[0], "d": 3}})
        found = data_of(packed, {})
        np.testing.assert_array_equal(numbers(found, "a"), bytes_to_object(packed)["a"])
        np.testing.assert_array_equal(numbers(found, "b.c"), array[0])
        assert numbers(found, "b.d") == 3 and found.names() == ["a", "b", "b.c", "b.d"]
    old = json.dumps({"a": {"__ndarray__": [[2, 2], "float64", [1, 2, 3, 4.5]]}})
    assert numbers(data_of(old, {}), "a").tolist() == [[1, 2], [3, 4.5]]


def packed(said: Any, offset: int | None = None) -> bytes:
    text = json.dumps({"potential": {"__ndarray__": said}}).encode()
    return struct.pack("<q", 8 + 16 if offset is None else offset) + bytes(16) + text


HOSTILE: dict[str, bytes] = {
    "broken data: its JSON lies outside": packed([[2], "float64", 8], 1 << 40),
    "broken data: its JSON lies outside the row": packed([[2], "float64", 8], -1),
    "broken data: no JSON": packed([[2], "float64", 8], 30),
    "broken data: potential lies outside the row": packed([[1 << 40], "float64", 8]),
    "broken data: potential lies outside": packed([[2], "float64", 1 << 20]),
    "broken data: potential lies": packed([[2], "float64", -8]),
    "broken data: potential has shape [-1]": packed([[-1], "float64", 8]),
    "broken data: potential has shape [1.5]": packed([[1.5], "float64", 8]),
    "potential holds no numbers: its type is object": packed([[2], "object", 8]),
    "potential holds no numbers: its type is complex128": packed([[1], "complex128", 8]),
    "broken data: potential has 1 numbers of shape [4]": packed([[4], "float64", [1]]),
    "broken data: potential is no array": packed("os.system"),
    "broken data: potential has shape [0, 0,": packed([[0] * 70, "float64", 8]),
    "broken data: potential has shape [1, 1,": packed([[1] * 70 + [2], "float64", 8]),
    "broken data: potential has shape [9223372036854775808, 0], which no": packed(
        [[2**63, 0], "float64", 8]
    ),
    "broken data: potential has shape [1099511627776, 10": packed(
        [[2**40] * 6 + [0], "float64", 8]
    ),
}


@pytest.mark.parametrize("reason", HOSTILE)
def test_hostile_data_are_one_line(reason: str) -> None:
    with pytest.raises(BadCrystal) as caught:
        data_of(HOSTILE[reason], {}).agreed(["potential"])
    assert str(caught.value).startswith(reason) and len(str(caught.value).splitlines()) == 1


def test_a_row_with_hostile_data_affects_only_itself(tmp_path: Path) -> None:
    good = ({"efermi": FERMI}, {"potential": made()})
    path = database(tmp_path / "a.db", good, good, good)
    with closing(sqlite3.connect(path)) as into:
        into.execute("UPDATE systems SET data = ? WHERE id = 2", (b"\x80\x04junk and more junk",))
        into.commit()
    first, bad, last = read(path)
    assert first == last == 5.0 and str(bad).startswith("broken data: its JSON lies outside")


WHOLE = object_to_bytes({"potential": made(points=64), "efermi": FERMI})
DAMAGE: dict[str, Callable[[bytes, int, int], bytes]] = {
    "flip": lambda whole, at, by: whole[:at] + bytes([whole[at] ^ (by or 1)]) + whole[at + 1 :],
    "cut": lambda whole, at, by: whole[:at],
    "fill": lambda whole, at, by: whole[:at] + bytes([by]) * 9 + whole[at + 9 :],
}


@searching(150)
@given(st.sampled_from(sorted(DAMAGE)), st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_damaged_data_are_numbers_or_one_line(kind: str, at: int, by: int) -> None:
    try:
        data = data_of(DAMAGE[kind](WHOLE, at, by), {})
        for name in data.names():
            data.agreed([name])
    except BadCrystal as bad:
        assert len(str(bad).splitlines()) == 1


def test_generated_slabs_are_read_back(tmp_path: Path) -> None:
    entries = list(GeneratedSlabs(20).entries())
    potentials = [Potential.read(one.target or "") for one in entries]
    table = {
        "id": [one.id for one in entries],
        "structure": [one.text for one in entries],
        "potential_ev": [one.potential.tolist() for one in potentials],
        "fermi_ev": [one.fermi for one in potentials],
        "vacuum_ev": [one.vacuum.tolist() for one in potentials],
    }
    found = list(open_potentials(write(tmp_path / "a.parquet", table)).entries())
    assert [one.id for one in found] == table["id"]
    assert works(found) == [round(one.work_function, 3) for one in potentials]
