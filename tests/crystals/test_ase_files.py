"""Files of ASE: what it writes is read, and nothing that a file holds runs or fills the memory."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io import iread, write
from ase.io.extxyz import key_val_str_to_dict
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.predict.inputs import blocks_of, sources_of
from tests.crystals.test_fuzz_sources import SCRAPS
from tests.fuzzing import searching
from trainables.crystals.checks import check
from trainables.crystals.crystal import BadCrystal, Crystal, Entry
from trainables.crystals.parsing import parse
from trainables.crystals.sources import ANY_COLUMN, SourceError, ase_structure, extxyz, open_source

FILES = Path(__file__).parent / "files"
ROOT = Path(__file__).resolve().parents[2]
KINDS = ("extxyz", "traj", "db")
CELL = np.array([[4.1, 0.2, 0.0], [0.3, 4.3, 0.1], [0.1, -0.2, 4.7]])


def salt(gap: float = 1.0) -> Atoms:
    """NaCl in a skewed cell, whose numbers have all their digits."""
    made = Atoms("NaCl", cell=CELL, pbc=True, positions=[[0, 0, 0], CELL.sum(axis=0) / 2])
    made.info["gap"] = gap
    return made


def of(kind: str, folder: Path, frames: list[Atoms]) -> Path:
    """A file of ASE with these structures."""
    path = folder / f"x.{kind}"
    if kind == "db":
        with connect(path) as database:
            for one in frames:
                database.write(one, **one.info)
    else:
        write(path, frames)
    return path


def crystals(path: Path) -> list[Crystal]:
    return [parse(entry) for entry in open_source(path, ANY_COLUMN).entries()]


def reason(entry: Entry) -> str:
    with pytest.raises(BadCrystal) as caught:
        check(parse(entry))
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def refused(path: Path, target: str | None = None) -> str:
    with pytest.raises(SourceError) as caught:
        list(open_source(path, target).entries())
    text = str(caught.value)
    assert text.isprintable() and len(text) < 500 and str(path) in text
    return text


@pytest.mark.parametrize("kind", ["traj", "db"])
def test_positions_and_cells_have_the_bits_that_ase_has(tmp_path: Path, kind: str) -> None:
    """Fractional coordinates are those of the same Cartesian ones in any other JSON."""
    given = [salt(), salt().repeat((2, 1, 1))]
    for one, known in zip(crystals(of(kind, tmp_path, given)), given, strict=True):
        assert np.array_equal(one.lattice, known.cell.array)
        assert np.array_equal(one.frac, np.linalg.solve(known.cell.T, known.positions.T).T)
        assert one.numbers.tolist() == known.numbers.tolist()


def test_extended_xyz_has_eight_decimals(tmp_path: Path) -> None:
    (one,) = crystals(of("extxyz", tmp_path, [salt()]))
    assert np.array_equal(one.lattice, CELL)
    assert np.abs(one.frac @ CELL - salt().positions).max() < 1e-8


@pytest.mark.parametrize("kind", ["extxyz", "traj"])
def test_fields_are_those_that_ase_reads(kind: str) -> None:
    path = FILES / f"ase.{kind}"
    for target in ("gap", "energy", "metal", "dos", "magmoms@site"):
        cells = [entry.target for entry in open_source(path, target).entries()]
        for cell, atoms in zip(cells, iread(path), strict=True):
            known = {**atoms.calc.results, **atoms.info}[target.removesuffix("@site")]
            assert np.array_equal(json.loads(cell or ""), known), (target, cell)


def test_values_of_a_database() -> None:
    for target, known in {"gap": 8.5, "energy": -7.0, "metal": False}.items():
        entry = next(iter(open_source(FILES / "ase.db", target).entries()))
        assert json.loads(entry.target or "") == known
    assert "it has gap, metal, label, energy, id" in refused(FILES / "ase.db", "dos")


@pytest.mark.parametrize("kind", KINDS)
def test_energy_is_the_target_where_nothing_else_is(tmp_path: Path, kind: str) -> None:
    one = salt()
    one.info.clear()
    one.calc = SinglePointCalculator(one, energy=-1.5, forces=np.zeros((2, 3)))
    source = open_source(of(kind, tmp_path, [one, one]))
    assert source.target_name == "energy" and source.unit is None
    told = [(entry.id, entry.target) for entry in source.entries()]
    assert told == [("1", "-1.5"), ("2", "-1.5")]


@pytest.mark.parametrize("kind", KINDS)
def test_several_numbers_have_to_be_named(kind: str) -> None:
    told = refused(FILES / f"ase.{kind}")
    assert "which column is the target?" in told and "energy" in told and "gap" in told


def molecule() -> Atoms:
    return Atoms("CO", positions=[[0, 0, 0], [0, 0, 1.1]], info={"gap": 2.0})


def slab() -> Atoms:
    made = salt()
    made.pbc = (True, True, False)
    return made


def nowhere() -> Atoms:
    made = salt()
    made.positions[1, 2] = np.nan
    return made


def flat() -> Atoms:
    made = salt()
    made.cell[2] = 0
    return made


def unknown() -> Atoms:
    made = salt()
    made.numbers[0] = 0
    return made


def twice() -> Atoms:
    made = salt()
    made.positions[1] = made.positions[0]
    return made


def empty() -> Atoms:
    return Atoms(cell=CELL, pbc=True, info={"gap": 1.0})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (molecule, "no cell"),
        (slab, "not periodic: pbc is [True, True, False]"),
        (nowhere, "coordinates are not finite: atom 2 (Cl)"),
        (flat, "zero volume"),
        (unknown, "unknown element"),
        (empty, "no atoms: the structure is empty"),
    ],
)
def test_a_bad_frame_affects_only_itself(
    tmp_path: Path, kind: str, make: Callable[[], Atoms], why: str
) -> None:
    path = of(kind, tmp_path, [salt(), make(), salt()])
    first, bad, last = open_source(path, "gap").entries()
    assert reason(bad).startswith(why)
    assert parse(first).numbers.tolist() == parse(last).numbers.tolist() == [11, 17]


def test_atoms_at_one_place_are_left_to_the_checks(tmp_path: Path) -> None:
    (one,) = crystals(of("extxyz", tmp_path, [twice()]))
    assert np.array_equal(one.frac[0], one.frac[1])


GOOD = '2\nLattice="4 0 0 0 4 0 0 0 4" gap=1\nNa 0 0 0\nCl 2 2 2\n'


def xyz(folder: Path, text: str | bytes) -> Path:
    path = folder / "a.xyz"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        ("1\nLattice=\"4 0 0 0 4 0 0 0\" gap=1\nNa 0 0 0\n", "broken structure: its Lattice is"),
        ("1\nLattice=\"4 0 0 0 4 0 0 0 x\"\nNa 0 0 0\n", "broken structure: its Lattice is"),
        ("1\nLattice=\"0 0 0 0 0 0 0 0 0\"\nNa 0 0 0\n", "no cell"),
        ("1\nJan's salt\nNa 0 0 0\n", "broken comment: \"'s salt\" has a quote or bracket without"),
        ("1\nsalt\nNa 0 0 0\n", "no cell: the comment has no Lattice"),
        (GOOD.replace("gap=1", "pbc=\"T maybe T\""), "broken structure: its pbc is 'T maybe T'"),
        (GOOD.replace("gap=1", "pbc=F"), "broken structure: its pbc is 'F'"),
        (GOOD.replace("2 2 2", "2 2"), "broken structure: atom 2 has 3 of 4 columns"),
        (GOOD.replace("2 2 2", "2 2 0_2"), "broken structure: atom 2 lies at '2 2 0_2'"),
        (GOOD.replace("gap=1", "Properties=species:S:1:pos:R:3:pos:R:3"), "broken structure: its"),
        (GOOD.replace("2 2 2", "2 2 x"), "broken structure: atom 2 lies at '2 2 x'"),
        (GOOD.replace("gap=1", "Properties=pos:R:3"), "broken structure: its Properties are"),
        (GOOD.replace("gap=1", "Properties=species:S:1:pos:R:1000000000"), "broken structure: its"),
        (GOOD.replace("gap=1", "Properties=species:S:1:pos:R:999999"), "broken structure: its"),
        (GOOD.replace("gap=1", "Properties=species:S:1:pos:Q:3"), "broken structure: its"),
        (GOOD.replace("gap=1", "Properties=species:S"), "broken structure: its Properties are"),
        (GOOD.replace("Na", "X"), "unknown element: 'X'"),
        (GOOD.replace("Na", "NA"), "unknown element: 'NA'"),
        ("0\nLattice=\"4 0 0 0 4 0 0 0 4\" gap=1\n", "no atoms"),
    ],
)  # fmt: skip
def test_a_bad_frame_of_xyz_affects_only_itself(tmp_path: Path, frame: str, why: str) -> None:
    first, bad, last = open_source(xyz(tmp_path, GOOD + frame + GOOD), "gap").entries()
    assert reason(bad).startswith(why)
    assert parse(first).numbers.tolist() == parse(last).numbers.tolist() == [11, 17]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the file is empty"),
        ("\n\n", "there is no crystal in it"),
        (GOOD + GOOD[:-12], "it ends within the structure that begins in line 5, after 1 of 2"),
        (GOOD + "1000000000\n" + GOOD, "it ends within the structure that begins in line 5, after"),
        (GOOD.replace("2\n", "1\n", 1), "line 4 is 'Cl 2 2 2' where the number of atoms"),
        ("-1\n", "line 1 is '-1' where the number of atoms"),
        ("9" * 5000 + "\n", "line 1 is '9999"),
        (b"\x1b[2J\n", "line 1 is '\\x1b[2J' where"),
        (b"\xff\xfe1\n", "not UTF-8"),
        (b"\x1f\x8b\x08", "the gzip file is broken"),
    ],
)
def test_xyz_that_cannot_be_read_on_is_one_line(
    tmp_path: Path, text: str | bytes, why: str
) -> None:
    assert why in refused(xyz(tmp_path, text), ANY_COLUMN)


def test_too_large_frames_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = "3\n" + GOOD.partition("\n")[2] + "Cl 1 1 1\n"
    long = GOOD.replace("gap=1", "gap=1 " + "x" * 300)
    monkeypatch.setattr(ase_structure, "MOST_ATOMS", 2)
    monkeypatch.setattr(extxyz, "LARGEST_FILE", 600)
    monkeypatch.setattr(extxyz, "LONGEST_COMMENT", 200)
    huge = GOOD.replace("gap=1", "gap=1 " + "x" * 700)
    found = list(open_source(xyz(tmp_path, many + long + huge + GOOD), ANY_COLUMN).entries())
    assert [reason(entry) for entry in found[:3]] == [
        "too many atoms: 3 of at most 2 in a file of ASE",
        "text too large: a comment of more than 200 characters",
        "text too large: more than 0 MB",
    ]
    assert len(parse(found[3]).numbers) == 2


def test_atomic_numbers_columns_and_packed_files(tmp_path: Path) -> None:
    """Columns in another order, numbers for symbols, blank lines between frames, CRLF, gzip."""
    frame = (
        "2\r\nLattice={4 0 0 0 4 0 0 0 4} Properties=q:R:1:pos:R:3:Z:I:1 pbc=[1 1 1] gap = 1\r\n"
        "0.5 0 0 0 11\r\n-0.5 2 2 2 17\r\n\r\n"
    )
    path = xyz(tmp_path, frame + frame)
    assert [one.numbers.tolist() for one in crystals(path)] == [[11, 17]] * 2
    sites = [entry.target for entry in open_source(path, "q@site").entries()]
    assert sites == ["[0.5, -0.5]"] * 2
    packed = tmp_path / "b.xyz.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert [entry.target for entry in open_source(packed, "gap").entries()] == ["1", "1"]


@pytest.mark.parametrize(
    "comment",
    [
        'a=1 b="two words" c={3 4} d=[5,6] e',
        "a = 1 b= 2 c =3",
        r'a="say \"hi\"" b=x\ y',
        "a=b=c  d='single'",
        'label="a=b" x=1e-3',
    ],
)
def test_comments_are_read_as_ase_reads_them(comment: str) -> None:
    own, known = extxyz.pairs_of(comment), key_val_str_to_dict(comment)
    assert own.keys() == known.keys()
    for key, value in known.items():
        if isinstance(value, str):
            assert own[key] == value
        elif isinstance(value, bool | np.bool_):
            assert own[key] == "T"
        else:
            words = own[key].replace(",", " ").split()
            assert np.array_equal(np.atleast_1d(value), list(map(float, words)))


def test_ids_of_frames_are_names_where_there_are_some(tmp_path: Path) -> None:
    frames = [
        GOOD.replace("gap=1", f"gap=1 {name}")
        for name in ("id=007", "material_id=mp-5 id=3", "name=salt", "")
    ]
    found = open_source(xyz(tmp_path, "".join(frames)), "gap").entries()
    assert [entry.id for entry in found] == ["007", "mp-5", "salt", "4"]


# ---------------------------------------------------------------------------- trajectories


def patched(path: Path, place: int, value: int) -> Path:
    content = bytearray(path.read_bytes())
    content[place : place + 8] = struct.pack("<q", value)
    path.write_bytes(content)
    return path


def offsets(path: Path) -> tuple[int, list[int]]:
    """Where the offsets of a trajectory lie, and what they are."""
    content = path.read_bytes()
    number, table = struct.unpack_from("<qq", content, 32)
    return table, list(struct.unpack_from(f"<{number}q", content, table))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda content: b"", "the file is empty|no trajectory of ASE"),
        (lambda content: content[:20], "no trajectory of ASE"),
        (lambda content: b"PickleTrajectory" + content, "are pickles, which are never opened"),
        (lambda content: content[:50], "is too short for that"),
        (lambda content: content[:32] + struct.pack("<q", 1 << 60) + content[40:], "too short"),
        (lambda content: content[:32] + struct.pack("<q", -1) + content[40:], "says that it has"),
        (lambda content: content[:40] + struct.pack("<q", -8) + content[48:], "too short"),
        (
            lambda content: content[:32] + struct.pack("<q", 0) + content[40:],
            "behind the 0 structures",
        ),
    ],
)
def test_a_broken_trajectory_is_one_line(
    tmp_path: Path, change: Callable[[bytes], bytes], why: str
) -> None:
    path = of("traj", tmp_path, [salt(), salt()])
    path.write_bytes(change(path.read_bytes()))
    assert any(word in refused(path, ANY_COLUMN) for word in why.split("|"))


@pytest.mark.parametrize("claim", [-1, 0, 1 << 30, 1 << 62])
def test_a_wrong_place_or_length_affects_only_its_frame(tmp_path: Path, claim: int) -> None:
    path = of("traj", tmp_path, [salt(), molecule(), salt()])
    table, places = offsets(path)
    _, bad, last = open_source(patched(path, table + 8, claim), ANY_COLUMN).entries()
    assert reason(bad).startswith("broken") and len(parse(last).numbers) == 2
    path = of("traj", tmp_path, [salt(), molecule(), salt()])
    _, bad, last = open_source(patched(path, places[1], claim), ANY_COLUMN).entries()
    assert reason(bad).startswith("broken") and len(parse(last).numbers) == 2


def test_a_trajectory_that_was_cut_short(tmp_path: Path) -> None:
    path = of("traj", tmp_path, [salt(), salt(), salt()])
    _, places = offsets(path)
    path.write_bytes(path.read_bytes()[: places[2] + 20])
    first, second, cut = open_source(path, ANY_COLUMN).entries()
    assert len(parse(first).numbers) == len(parse(second).numbers) == 2
    assert reason(cut) == "broken structure: the file ends within it"


@pytest.mark.parametrize("written", [1, 2, 3, 42, 43])
def test_a_header_that_counts_too_few_structures_is_refused(tmp_path: Path, written: int) -> None:
    """ASE's table of places has room for 1, 42, 1764 … structures, and moves when it is full."""
    path = of("traj", tmp_path, [salt() for _ in range(written)])
    assert len(list(open_source(path, ANY_COLUMN).entries())) == written
    for counted in {0, 1, written - 1} - {written}:
        said = refused(patched(path, 32, counted), ANY_COLUMN)
        assert f"it goes on behind the {counted} structures that its header counts" in said


def test_a_structure_of_which_the_writing_was_interrupted_is_refused(tmp_path: Path) -> None:
    path = of("traj", tmp_path, [salt(), salt(), salt()])
    path.write_bytes(path.read_bytes() + PLACES)
    assert "goes on behind the 3 structures" in refused(path, ANY_COLUMN)


def traj(folder: Path, *items: tuple[bytes, Any]) -> Path:
    """A trajectory of arrays as bytes, and JSON, in which PLACE is where the arrays lie."""
    head, body, places = 48 + 8 * len(items), b"", []
    for arrays, data in items:
        text = json.dumps(data).replace('"PLACE"', str(head + len(body))).encode()
        body += arrays
        places.append(head + len(body))
        body += struct.pack("<q", len(text)) + text
    path = folder / "made.traj"
    head_of = struct.pack("<8s16sqqq", b"- of Ulm", b"ASE-Trajectory  ", 3, len(items), 48)
    path.write_bytes(head_of + struct.pack(f"<{len(items)}q", *places) + body)
    return path


PLACES = np.array([[0, 0, 0], [2, 2, 2.0]]).tobytes()
PLAIN: dict[str, Any] = {
    "version": 1,
    "numbers": [11, 17],
    "pbc": [True] * 3,
    "cell": (4 * np.eye(3)).tolist(),
    "positions.": {"ndarray": [[2, 3], "float64", "PLACE"]},
}


def test_the_made_trajectory_is_one(tmp_path: Path) -> None:
    later = {key: PLAIN[key] for key in ("cell", "positions.")}
    path = traj(tmp_path, (PLACES, PLAIN), (PLACES, later))
    for one, known in zip(crystals(path), iread(path), strict=True):
        assert one.numbers.tolist() == known.numbers.tolist() == [11, 17]


def test_arrays_of_other_machines_are_read(tmp_path: Path) -> None:
    """Big-endian, as the file says."""
    swapped = np.frombuffer(PLACES, np.float64).astype(">f8").tobytes()
    (found,) = crystals(traj(tmp_path, (swapped, PLAIN | {"_little_endian": False})))
    np.testing.assert_allclose(found.frac, [[0, 0, 0], [0.5, 0.5, 0.5]])


def test_a_calculators_energy_is_the_energy(tmp_path: Path) -> None:
    """And not what info calls so, which may be that of another calculation."""
    data = PLAIN | {"info": {"energy": 123.0}, "calculator.": {"energy": -5.0}}
    (entry,) = open_source(traj(tmp_path, (PLACES, data)), "energy").entries()
    assert entry.target == "-5.0"


def array(shape: Any, kind: Any = "float64", place: Any = "PLACE") -> dict[str, Any]:
    return {"positions.": {"ndarray": [shape, kind, place]}}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (array([1 << 40, 3]), "broken structure: its positions have shape"),
        (array([1 << 20, 3]), "broken structure: its positions have shape"),
        (array([20, 3]), "broken structure: its positions lie outside"),
        (array([2, 3], place=0), "broken structure: its positions lie outside"),
        (array([2, 3], place=-8), "broken structure: its positions lie outside"),
        (array([2, 3], "object"), "broken structure: its positions are no array of numbers"),
        (array([2, 3], "O8"), "broken structure: its positions are no array of numbers"),
        (array([-2, -3]), "broken structure: its positions are no array of numbers"),
        (array([True, 3]), "broken structure: its positions are no array of numbers"),
        (array("x"), "broken structure: its positions are no array of numbers"),
        (array([0] * 60), "broken structure: its positions have shape"),
        (array([6]), "broken structure: its positions have shape (6,)"),
        ({"positions.": 1}, "broken structure: its positions are no array of numbers"),
        ({"numbers": None}, "broken structure: its atomic numbers"),
        ({"numbers": ["Na", "Cl"]}, "broken structure: its atomic numbers are no numbers"),
        ({"numbers": [[11, 17]]}, "broken structure: its atomic numbers have shape (1, 2)"),
        ({"numbers": [11, 17, 8]}, "broken structure: its positions have shape (2, 3)"),
        ({"numbers": [0, 17]}, "unknown element: 'Z=0'"),
        ({"numbers": [11.5, 17]}, "unknown element: '11.5'"),
        ({"numbers": [1e300, 17]}, "unknown element"),
        ({"numbers": [float("nan"), 17]}, "unknown element: 'nan'"),
        ({"numbers": [float("inf"), 17]}, "unknown element: 'inf'"),
        ({"cell": [[4, 0], [0, 4]]}, "broken structure: its cell vectors have shape (2, 2)"),
        ({"cell": {"__ase_objtype__": "cell"}}, "broken structure: its cell vectors are no"),
        ({"pbc": True}, "broken structure: its periodic directions"),
        ({"calculator.": {"magmoms.": {"ndarray": [[9], "x", 0]}}}, "broken structure: its magmom"),
    ],
)
def test_a_hostile_item_is_a_bad_frame(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    path = traj(tmp_path, (PLACES, PLAIN), (PLACES, PLAIN | change), (PLACES, PLAIN))
    first, bad, last = open_source(path, ANY_COLUMN).entries()
    assert reason(bad).startswith(why)
    assert parse(first).numbers.tolist() == parse(last).numbers.tolist() == [11, 17]


def test_without_the_first_frame_there_are_no_elements(tmp_path: Path) -> None:
    later = {key: PLAIN[key] for key in ("cell", "positions.")}
    path = traj(tmp_path, (PLACES, [1]), (PLACES, later), (PLACES, PLAIN))
    first, second, third = open_source(path, ANY_COLUMN).entries()
    assert reason(first) == "broken JSON: it is no object"
    assert reason(second).startswith("no elements: the first structure")
    assert len(parse(third).numbers) == 2


def test_fields_of_any_kind_are_cells_or_nothing(tmp_path: Path) -> None:
    info = {
        "gap": 1.5, "none": None, "flag": True, "text": "a", "list": [1, None], "deep": [[1]],
        "array": {"__ndarray__": [[2], "float64", [1.0, 2.0]]}, "bad\ud800": 1, "t": "\ud800",
        "square": {"__ndarray__": [[1, 1], "float64", [1.0]]}, "object": {"a": 1},
        "class": {"__ase_objtype__": "bandpath", "labelseq": "GX"}, "odd": {"__ndarray__": 1},
    }  # fmt: skip
    path = traj(tmp_path, (PLACES, PLAIN | {"info": info}), (PLACES, PLAIN | {"info": 1}))
    assert "it has gap, none, flag, text, list, array" in refused(path, "absent")
    entries = open_source(path, "array").entries()
    assert [entry.target for entry in entries] == ["[1.0, 2.0]", ""]


# ---------------------------------------------------------------------------- databases


def changed(path: Path, *statements: str, values: tuple[Any, ...] = ()) -> Path:
    with closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement, values)
        database.commit()
    return path


def test_a_database_is_never_written_to(tmp_path: Path) -> None:
    path = of("db", tmp_path, [salt(), salt(2.0)])
    changed(path, "PRAGMA journal_mode = WAL")
    for left in set(tmp_path.iterdir()) - {path}:
        left.unlink()
    path.chmod(0o444)
    before = path.read_bytes(), path.stat().st_mtime_ns
    source = open_source(path, "gap")
    during = iter(source.entries())
    next(during)
    assert list(tmp_path.iterdir()) == [path]
    assert len(list(during)) == 1 and len(source.digest()) == 64
    assert list(tmp_path.iterdir()) == [path]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


@pytest.mark.parametrize("ending", ["-wal", "-journal"])
def test_a_database_that_is_being_written_is_refused(tmp_path: Path, ending: str) -> None:
    path = of("db", tmp_path, [salt()])
    beside = tmp_path / f"x.db{ending}"
    beside.write_bytes(b"")
    assert len(list(open_source(path, "gap").entries())) == 1
    beside.write_bytes(b"x")
    assert f"x.db{ending} beside it says that it is being written" in refused(path)


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        (("DROP TABLE systems",), "no database of ASE: it has no table 'systems'"),
        (("DELETE FROM systems",), "there is no crystal in it"),
        (("ALTER TABLE systems DROP COLUMN pbc",), "lacks pbc; bring it up to date"),
        (
            ("ALTER TABLE systems RENAME TO other", "CREATE VIEW systems AS SELECT * FROM other"),
            "no database of ASE: it has no table 'systems'",
        ),
        (
            (
                "DROP TABLE systems",
                "CREATE VIRTUAL TABLE systems USING fts5(id, numbers, positions, cell, pbc,"
                " key_value_pairs, energy, free_energy, magmom)",
            ),
            "no database of ASE: it has no table 'systems'",
        ),
    ],
)
def test_a_database_of_another_kind(tmp_path: Path, statements: tuple[str, ...], why: str) -> None:
    assert why in refused(changed(of("db", tmp_path, [salt()]), *statements), ANY_COLUMN)


def test_a_generated_column_is_no_column(tmp_path: Path) -> None:
    """Whatever it says would run whenever a row is read."""
    path = of("db", tmp_path, [salt()])
    changed(
        path,
        "ALTER TABLE systems DROP COLUMN magmom",
        "ALTER TABLE systems ADD COLUMN magmom AS (zeroblob(1000000000))",
    )
    assert "lacks magmom" in refused(path)


def tree(path: Path) -> tuple[bytearray, int, list[int]]:
    """A database's bytes, and of its table's first page the place and those of its entries."""
    with closing(sqlite3.connect(path)) as database:
        ((root,),) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'systems'")
        ((size,),) = database.execute("PRAGMA page_size")
    content = bytearray(path.read_bytes())
    page = (root - 1) * size
    kind, _, number = struct.unpack_from(">BHH", content, page)
    assert kind == 5 and number > 1  # it has no rows, but pages
    return (
        content,
        page,
        [page + at for at in struct.unpack_from(f">{number}H", content, page + 12)],
    )


def test_a_page_that_is_named_again_and_again_ends(tmp_path: Path) -> None:
    """A few pages that point to one another often would be rows without an end."""
    path = of("db", tmp_path, [salt()] * 40)
    content, page, entries = tree(path)
    for place in (*entries[1:], page + 8):
        content[place : place + 4] = content[entries[0] : entries[0] + 4]
    path.write_bytes(content)
    assert "broken database: row 1 is there twice" in refused(path, ANY_COLUMN)


def test_a_row_that_is_listed_and_not_found(tmp_path: Path) -> None:
    path = of("db", tmp_path, [salt()] * 40)
    content, _, entries = tree(path)
    content[entries[0] + 4] = 1  # the last row of the page that it points to
    path.write_bytes(content)
    first, second, *_ = open_source(path, ANY_COLUMN).entries()
    assert len(parse(first).numbers) == 2
    assert reason(second) == "broken row: the database lists it and does not have it"


@pytest.mark.parametrize("name", ["a?mode=rw.db", "a#b.db", "a%20b.db", "a b.DB"])
def test_a_name_is_no_part_of_an_address(tmp_path: Path, name: str) -> None:
    path = of("db", tmp_path, [salt()]).rename(tmp_path / name)
    assert len(crystals(path)) == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("numbers", None, "broken row: its atomic numbers are no array"),
        ("numbers", "Na", "broken row: its atomic numbers are no array"),
        ("numbers", b"\x0b\0\0\0\x11\0\0", "broken row: its atomic numbers are no array"),
        ("numbers", b"\x0b\0\0\0", "broken row: 6 coordinates of 1 atoms"),
        ("numbers", b"\0\0\0\0\x11\0\0\0", "unknown element: 'Z=0'"),
        ("numbers", b"\x0b\0\0\0\xff\xff\xff\xff", "unknown element: 'Z=-1'"),
        ("positions", b"\0" * 41, "broken row: its positions are no array"),
        ("positions", b"\xff" * 48, "coordinates are not finite"),
        ("positions", b"\0" * (17 << 20), "row too large: a value of more than 16 MB"),
        ("cell", None, "no cell"),
        ("cell", b"\0" * 72, "no cell"),
        ("cell", b"\0" * 64, "broken structure: its cell vectors have shape (8,)"),
        ("pbc", None, "broken row: its pbc is 'None'"),
        ("pbc", 3, "not periodic: pbc is [True, True, False]"),
        ("pbc", 0, "not periodic: pbc is [False, False, False]"),
        ("key_value_pairs", b"\x80\x04", "broken row: key_value_pairs are no JSON"),
        ("key_value_pairs", "[" * 100_000, "broken row: key_value_pairs are no JSON"),
    ],
)
def test_a_hostile_row_affects_only_itself(
    tmp_path: Path, column: str, value: Any, why: str
) -> None:
    path = of("db", tmp_path, [salt(), salt(), salt()])
    changed(path, f"UPDATE systems SET {column} = ? WHERE id = 2", values=(value,))
    first, bad, last = open_source(path, ANY_COLUMN).entries()
    assert reason(bad).startswith(why)
    assert parse(first).numbers.tolist() == parse(last).numbers.tolist() == [11, 17]


def test_a_damaged_database_is_one_line(tmp_path: Path) -> None:
    path = of("db", tmp_path, [salt()])
    content = path.read_bytes()
    path.write_bytes(b"x" + content)
    assert "no SQLite database, as those of ASE are" in refused(path)
    path.write_bytes(content[:3000])
    assert "broken database (" in refused(path, ANY_COLUMN)
    path.write_bytes(content.replace(b"unique_id TEXT", b"unique_id TE\xffT"))  # no UTF-8
    assert "broken database (" in refused(path, ANY_COLUMN)
    path.write_bytes(b"")
    assert "no SQLite database" in refused(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipe_is_no_file(tmp_path: Path, kind: str) -> None:
    """Which would be waited for."""
    os.mkfifo(tmp_path / f"made.{kind}")
    with pytest.raises(SourceError, match="neither a file nor a folder"):
        open_source(tmp_path / f"made.{kind}")


def test_names_without_number_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainables.crystals.sources.record_source.MOST_COLUMNS", 3)
    frames = "".join(GOOD.replace("gap", f"gap{at}") for at in range(4))
    assert "4 different names of values beside its first structures" in refused(
        xyz(tmp_path, frames)
    )


def test_what_data_holds_is_not_read(tmp_path: Path) -> None:
    path = of("db", tmp_path, [salt()])
    changed(path, "UPDATE systems SET data = ?", values=(b"\x80\x04" * (12 << 20),))
    assert len(crystals(path)) == 1


# ---------------------------------------------------------------------------- all of them


@pytest.mark.parametrize("kind", KINDS)
@searching(60)
@given(st.data())
def test_a_file_of_ase_that_was_tampered_with(
    tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    content = (FILES / f"ase.{kind}").read_bytes()
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        end = start + data.draw(st.integers(0, 12))
        piece = data.draw(st.binary(max_size=9) | SCRAPS.map(lambda text: text.encode()))
        content = content[:start] + piece + content[end:]
    path = tmp_path / f"x.{kind}"
    path.write_bytes(content)
    try:
        for entry in open_source(path, ANY_COLUMN).entries():
            try:
                check(parse(entry))
            except BadCrystal as bad:
                assert len(str(bad).splitlines()) == 1
    except SourceError as error:
        assert len(str(error).splitlines()) == 1


def test_reading_needs_neither_ase_nor_pymatgen() -> None:
    program = (
        "import sys\n"
        "sys.modules['ase'] = sys.modules['pymatgen'] = None\n"
        "from pathlib import Path\n"
        "from trainables.crystals.parsing import parse\n"
        "from trainables.crystals.sources import open_source\n"
        f"for kind in {KINDS!r}:\n"
        f"    path = Path({str(FILES)!r}) / f'ase.{{kind}}'\n"
        "    print(*[len(parse(one).numbers) for one in open_source(path, 'energy').entries()])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "2 5 2\n" * 3


def test_all_take_a_name_and_leave_the_file(tmp_path: Path) -> None:
    for kind in KINDS:
        path = Path(shutil.copy(FILES / f"ase.{kind}", tmp_path))
        assert open_source(path, "gap", "mine").name == "mine"
        assert open_source(path, "gap").name == "ase"
    assert len(list(tmp_path.iterdir())) == 3


def test_new_structures_to_predict_may_lie_in_them(tmp_path: Path) -> None:
    """Without a target, many a file, and whatever the file is called."""
    shutil.copy(FILES / "ase.extxyz", tmp_path / "POSCAR.xyz")
    paths = [str(FILES / "ase.traj"), str(tmp_path / "POSCAR.xyz"), str(FILES / "ase.db")]
    blocks = list(blocks_of(sources_of(paths, follow_links=False)))
    assert [len(block) for block in blocks] == [3, 3, 3]
    assert all(
        entry.target is None and len(parse(entry).numbers) for block in blocks for entry in block
    )
