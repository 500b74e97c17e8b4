"""Trajectories of ASE: frames of any content, hostile and truncated ones one by one."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.io import iread

from tests.crystals.ase_structures import crystals, molecule, of, reason, refused, salt
from trainables.crystals.parsing import parse
from trainables.crystals.sources import ANY_COLUMN, open_source


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
