"""Ids that no array, table or list of bad crystals could hold cost only their own crystals."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.data.entries import _blocks
from tests.crystals.test_fuzz_sources import VALID
from trainables.crystals.crystal import BadCrystal, Entry
from trainables.crystals.parsing import parse
from trainables.crystals.sources import Source, SourceError, open_source
from trainables.crystals.sources.base import ANY_COLUMN
from trainables.crystals.sources.ids import LONGEST_ID, id_text

HUGE = "a" * (LONGEST_ID + 1)


def rows_of(source: Source) -> list[dict[str, str]]:
    """The entries as they go from the one who reads to those who work."""
    (table,) = _blocks(source, 256)
    (columns,) = table.to_pylist()
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def matbench(folder: Path, index: list[str], column: str = "y") -> Path:
    path = folder / "salts.json"
    data = [[json.loads(VALID["json"]), 1] for _ in index]
    path.write_text(json.dumps({"index": index, "columns": ["structure", column], "data": data}))
    return path


def table(folder: Path, ids: list[str]) -> Path:
    text = io.StringIO()
    csv.writer(text).writerows([["id", "cif", "y"], *([name, VALID["cif"], 1] for name in ids)])
    path = folder / "salts.csv"
    path.write_text(text.getvalue())
    return path


@pytest.mark.parametrize("write", [matbench, table])
def test_a_huge_id_is_quarantined(tmp_path: Path, write: object) -> None:
    path = write(tmp_path, ["a" * LONGEST_ID, HUGE, "b"])  # type: ignore[operator]
    good, bad, other = rows_of(open_source(path))
    assert (good["id"], other["id"]) == ("a" * LONGEST_ID, "b")
    assert good["format"] == other["format"] != "bad"
    assert bad["id"] == "row 2"
    with pytest.raises(BadCrystal, match="id too long: 201 characters of at most 200"):
        parse(Entry(**bad))  # type: ignore[arg-type]


def test_half_a_character_is_no_id(tmp_path: Path) -> None:
    good, bad = rows_of(open_source(matbench(tmp_path, ["a", "\ud800"])))
    assert (good["id"], bad["id"]) == ("a", "row 2")
    assert bad["format"] == "bad" and bad["text"] == r"id is no text: '\ud800'"


def test_half_a_character_is_no_column(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"column '\\ud800' is no text"):
        open_source(matbench(tmp_path, ["a"], "\ud800"))


def test_a_name_that_is_not_utf8_is_refused_at_the_beginning(tmp_path: Path) -> None:
    folder = tmp_path / "\udcff\udcfe"
    folder.mkdir()
    (folder / "id_prop.csv").write_text("a,1\n")
    with pytest.raises(SourceError, match=r"\\udcff.*its name is not UTF-8; rename it"):
        open_source(folder)


def test_cells_beyond_what_csv_takes_by_itself(tmp_path: Path) -> None:
    """In a new process, as reading another table would already have raised the limit."""
    csv.field_size_limit(131_072)
    (tmp_path / "id_prop.csv").write_text(f"a,1\n{'b' * 200_000},2\n")
    _, bad = open_source(tmp_path).entries()
    assert bad.format == "bad" and bad.text.startswith("id too long")


EMPTY = [["", "a"], ["mp-1", "b"], ["", ""], ["", "0"]]


def as_csv(folder: Path, rows: list[list[str]]) -> Path:
    path = folder / "x.csv"
    cells = [[*row, VALID["cif"], 1] for row in rows]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["material_id", "id", "cif", "y"], *cells])
    return path


def as_parquet(folder: Path, rows: list[list[str]]) -> Path:
    path = folder / "x.parquet"
    ids = {name: [row[at] or None for row in rows] for at, name in enumerate(("material_id", "id"))}
    pq.write_table(pa.table({**ids, "cif": [VALID["cif"]] * len(rows)}), path)
    return path


def as_json(folder: Path, rows: list[list[str]]) -> Path:
    path, one = folder / "x.json", {"structure": json.loads(VALID["json"]), "name": "salt"}
    path.write_text(json.dumps([{"material_id": m, "id": i, **one} for m, i in rows]))
    return path


@pytest.mark.parametrize("write", [as_csv, as_parquet, as_json])
def test_an_empty_id_is_the_next_column_or_the_row(tmp_path: Path, write: Any) -> None:
    source = open_source(write(tmp_path, EMPTY), ANY_COLUMN)
    assert [entry.id for entry in source.entries()] == ["a", "mp-1", "3", "0"]


@pytest.mark.parametrize(
    ("value", "id"),
    [
        *((0, "0"), (0.0, "0"), (7.0, "7"), (4.5, "4.5"), (1e300, "1e+300"), (" a ", "a")),
        *((value, "") for value in (math.nan, None, False, True, [], ["a"], {}, " ")),
        ("1.0", "1.0"),
    ],
)
def test_what_is_an_id(value: object, id: str) -> None:
    assert id_text(value) == id


def test_integers_with_one_missing_have_no_point(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"id": [0.0, None, 12.0], "cif": [VALID["cif"]] * 3}), path)
    assert [entry.id for entry in open_source(path, ANY_COLUMN).entries()] == ["0", "2", "12"]
    path = tmp_path / "x.json"
    one = {"structure": json.loads(VALID["json"])}
    path.write_text(json.dumps([{"id": value, **one} for value in (0, False, 2.0)]))
    assert [entry.id for entry in open_source(path, ANY_COLUMN).entries()] == ["0", "2", "2"]
