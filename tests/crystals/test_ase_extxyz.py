"""Extended XYZ: comments and columns as ASE reads them, bad frames one by one."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io.extxyz import key_val_str_to_dict

from tests.crystals.ase_structures import CELL, crystals, of, reason, refused, salt
from trainables.crystals.parsing import parse
from trainables.crystals.sources import ANY_COLUMN, ase_structure, extxyz, open_source


def test_extended_xyz_has_eight_decimals(tmp_path: Path) -> None:
    (one,) = crystals(of("extxyz", tmp_path, [salt()]))
    assert np.array_equal(one.lattice, CELL)
    assert np.abs(one.frac @ CELL - salt().positions).max() < 1e-8


def twice() -> Atoms:
    made = salt()
    made.positions[1] = made.positions[0]
    return made


def test_atoms_at_one_place_are_left_to_the_checks(tmp_path: Path) -> None:
    (one,) = crystals(of("extxyz", tmp_path, [twice()]))
    assert np.array_equal(one.frac[0], one.frac[1])


GOOD = '2\nLattice="4 0 0 0 4 0 0 0 4" gap=1\nNa 0 0 0\nCl 2 2 2\n'


def xyz(folder: Path, text: str | bytes) -> Path:
    path = folder / "a.xyz"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


FIXED = GOOD.replace("Na 0 0 0", "Na 0.00000000 0.00000000 0.00000000").replace(
    "Cl 2 2 2", "Cl 2.00000000 2.00000000 2.12345678"
)


@pytest.mark.parametrize("cut", [1, 7, 8, 9])
def test_a_file_that_ends_within_its_last_number_is_refused(tmp_path: Path, cut: int) -> None:
    text = (GOOD + FIXED).removesuffix("\n")
    assert len(crystals(xyz(tmp_path, text))) == 2
    (_, entry) = open_source(xyz(tmp_path, text[:-cut]), "gap").entries()
    assert entry.format == "bad" and "the file ends within the last number of atom 2" in entry.text
    assert "as all others have 8 decimals; write or fetch it again" in entry.text


def test_numbers_as_people_write_them_are_whole(tmp_path: Path) -> None:
    for last in ("Cl 2 2 2", "Cl 2.0001 2.0001 2", "Cl 0.33333 0.3333 0.5"):
        assert len(crystals(xyz(tmp_path, GOOD.replace("Cl 2 2 2\n", last)))) == 1
    forces = GOOD.replace("gap=1", "gap=1 Properties=species:S:1:pos:R:3:tag:I:1")
    fixed = forces.replace("0 0 0\n", "0.0000 0.0000 0.0000 1\n").replace(
        "2 2 2\n", "2.0000 2.0000 2.0000 1"
    )
    assert len(crystals(xyz(tmp_path, fixed))) == 1


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


def test_a_name_of_a_frame_is_no_id(tmp_path: Path) -> None:
    frames = [
        GOOD.replace("gap=1", f"gap=1 {name}")
        for name in ("id=007", "material_id=mp-5 id=3", "name=salt", "")
    ]
    found = open_source(xyz(tmp_path, "".join(frames)), "gap").entries()
    assert [entry.id for entry in found] == ["007", "mp-5", "3", "4"]


def test_names_without_number_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainables.crystals.sources.record_source.MOST_COLUMNS", 3)
    frames = "".join(GOOD.replace("gap", f"gap{at}") for at in range(4))
    assert "4 different names of values beside its first structures" in refused(
        xyz(tmp_path, frames)
    )
