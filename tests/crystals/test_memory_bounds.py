"""Memory for reading small or malformed files, measured in a process that reads them."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.data import entries
from trainables.crystals.sources import SourceError, base, bounded, gunzip, open_source
from trainables.crystals.sources.curves import CurveTable
from trainables.crystals.sources.json_stream import JsonStream
from trainables.crystals.sources.potentials import PotentialTable

ROOT = Path(__file__).resolve().parents[2]
# Tells what reading a source ends with, and by how many MB the process has grown at most.
READING = """
import pathlib, sys
from trainables.compositions.reading import read_compositions
from trainables.crystals.sources import SourceError, open_source
def most():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))
begun, path = most(), pathlib.Path(sys.argv[1])
try:
    if path.name.startswith("formulas"):
        read_compositions(path)
    for entry in open_source(path, *sys.argv[2:]).entries():
        pass
    print(most() - begun, "read")
except SourceError as error:
    print(most() - begun, error)
"""
MB = 1 << 20


def reading(path: Path, *target: str) -> tuple[int, str]:
    """Growth in MB, and the last words."""
    done = subprocess.run(
        [sys.executable, "-c", READING, str(path), *target],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), "ARROW_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    growth, _, words = done.stdout.strip().partition(" ")
    assert "\n" not in words
    return int(growth), words


LINE, ROW = "a line is longer than 32 million", "the row that begins in line {} is too large"
ENDLESS: dict[str, tuple[str, tuple[bytes, bytes], str]] = {
    "no line break": ("a.csv", (b"id,cif,y\n", b"x"), LINE),
    "a header without an end": ("a.csv", (b"id,cif,y", b"x"), LINE),
    "cells without an end": ("a.csv", (b"id,cif,y\n1,x,", b"ab,"), LINE),
    "an open quote": ("a.csv", (b'id,cif,y\n1,"', b"x\n"), ROW.format(2)),
    "an open quote in the header": ("a.csv", (b'id,"cif,y', b"x\n"), ROW.format(1)),
    "cells in quotes": ("a.csv", (b'id,cif,y\n1,"', b'","\n'), ROW.format(2)),
    "a table of a folder": ("id_prop.csv", (b"a,1\n", b"x"), LINE),
    "a quote in such a table": ("id_prop.csv", (b'a,1\n"', b"x\n"), ROW.format(2)),
    "a structure without an end": (
        "a.xyz",
        (b"2000000000\n\n", b"Na 0 0 0" + 999 * b" 0" + b"\n"),
        "it ends within",
    ),
    "a comment without an end": ("a.xyz", (b"1\n", b"x=1 "), LINE),
    "formulas": ("formulas.csv", (b"formula,y\n", b"x"), LINE),
    "formulas and a quote": ("formulas.csv", (b'formula,y\n"', b"x\n"), ROW.format(2)),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("what", ENDLESS)
@pytest.mark.faults
def test_a_text_without_an_end_is_not_held(tmp_path: Path, what: str, packed: bool) -> None:
    name, (start, piece), words = ENDLESS[what]
    path = tmp_path / name
    with gzip.open(path, "wb", 1) if packed else path.open("wb") as file:
        file.write(start)
        for _ in range(150):
            file.write(piece * (MB // len(piece)))
    growth, told = reading(path)
    expected = {words, "its text is more than 200 times"} if packed else {words}
    assert any(one in told for one in expected), told
    assert growth < 200, "a row of 32 million characters, as text and as cells"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Limits that small files reach."""
    monkeypatch.setattr(bounded, "LARGEST_ROW", 1000)
    monkeypatch.setattr(bounded, "MOST_CELLS", 100)
    monkeypatch.setattr(base, "LARGEST_ROW", 1000)
    yield


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "id,cif,y\n" + 2000 * "x", "a line is longer than 0.00095"),
        ("a.csv", "id,cif,y" + 2000 * "x", "a line is longer"),
        ("a.csv", 'id,cif,y\n1,"' + 2000 * "x\n", "the row that begins in line 2 is too large"),
        ("a.csv", "id,cif,y\n1,x,2\n" + 200 * ",", "the row that begins in line 3 is too large"),
        ("id_prop.csv", "a,1\n" + 2000 * "x", "a line is longer"),
        ("id_prop.csv", 'a,1\n"' + 2000 * "x\n", "the row that begins in line 2"),
    ],
)
def test_lines_and_rows_have_an_end(
    tmp_path: Path, name: str, text: str, words: str, packed: bool
) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    with pytest.raises(base.SourceError) as caught:
        list(open_source(path).entries())
    assert words in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["[" + 60 * "[]," + "1]", '"' + 200 * "x" + '"'])
def test_a_json_value_has_an_end(text: str) -> None:
    def stream() -> JsonStream:
        return JsonStream(io.StringIO(text), Path("x.json"))

    assert stream().value("in row 1", limit=len(text))[1] == text
    with pytest.raises(base.SourceError, match="a value in row 1 is too long, or broken"):
        stream().value("in row 1", limit=100)


def text_of(size: int, times: int) -> pa.Array:
    return pa.array(["x" * size] * times)


def repeated(size: int, times: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * times, pa.int32()), text_of(size, 1))


Bomb = tuple[Callable[[], pa.Table], dict[str, object], str]
BOMBS: dict[str, Bomb] = {
    "a dictionary of one text, for many rows": (
        lambda: pa.table({"structure": repeated(8 * MB, 900), "y": [1.0] * 900}),
        {},
        "its texts come to more than 200 times the size of the file",
    ),
    "each text the one before": (
        lambda: pa.table({"structure": text_of(8 * MB, 60), "y": [1.0] * 60}),
        {
            "use_dictionary": False,
            "column_encoding": {"structure": "DELTA_BYTE_ARRAY", "y": "PLAIN"},
        },
        "its texts come to more than 200 times the size of the file",
    ),
    "a page of many texts": (
        lambda: pa.table({"structure": text_of(8 * MB, 60), "y": [1.0] * 60}),
        {"use_dictionary": False},
        "bytes unpacks to 480 MiB; no crystals do",
    ),
    "ids": (
        lambda: pa.table({"id": text_of(8 * MB, 60), "structure": ["{}"] * 60, "y": [1.0] * 60}),
        {"use_dictionary": False},
        "bytes unpacks to 480 MiB; no crystals do",
    ),
    "one text": (
        lambda: pa.table({"structure": text_of(60 * MB, 1), "y": [1.0]}),
        {"use_dictionary": False},
        "bytes unpacks to 60 MiB; no crystals do",
    ),
    "rows of nothing": (
        lambda: pa.table(
            {"structure": pa.nulls(3_000_000, pa.string()), "y": pa.nulls(3_000_000, pa.float64())}
        ),
        {},
        "it says that it has 3000000 rows, which so small a file cannot hold",
    ),
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_small_parquet_file_takes_little(tmp_path: Path, what: str) -> None:
    make, layout, words = BOMBS[what]
    path = tmp_path / "crystals.parquet"
    pq.write_table(make(), path, compression="zstd", **layout)
    assert path.stat().st_size < 500_000
    growth, told = reading(path)
    assert words in told
    assert growth < 250, "a dictionary, and a few rows of at most 64 MiB"


def test_large_crystals_go_to_workers_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "LARGEST_BLOCK", 100)
    path = tmp_path / "a.csv"
    rows = [f"{row},{(150 if row % 4 else 30) * 'x'},1\n" for row in range(16)]
    path.write_text("id,cif,y\n" + "".join(rows))
    blocks = [table["id"][0].as_py() for table in entries._blocks(open_source(path), 4)]
    assert [len(block) for block in blocks] == [2, 1, 1] * 4
    assert [id for block in blocks for id in block] == list(map(str, range(16)))


@pytest.mark.parametrize(
    ("beside", "opened"),
    [
        ({"energy_ev": [[-9.0, 9.0]], "dos": [[1.0, 1.0]]}, CurveTable),
        ({"potential_ev": [[0.0] * 9], "fermi_ev": [0.0]}, PotentialTable),
    ],
)
def test_texts_beside_curves_and_potentials_have_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: dict[str, list[Any]], opened: Any
) -> None:
    monkeypatch.setattr(gunzip, "HARMLESS", MB)
    columns = {name: values * 90 for name, values in beside.items()}
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"structure": repeated(MB // 8, 90), **columns}), path)
    with pytest.raises(SourceError, match="its texts come to more than 200 times the size"):
        list(opened(path).entries())
