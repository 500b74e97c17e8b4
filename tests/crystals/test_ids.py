"""Ids that no array, table or list of bad crystals could hold cost only their own crystals."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from orchestrator.data.entries import _blocks
from tests.crystals.test_fuzz_sources import VALID
from trainables.crystals.crystal import BadCrystal, Entry
from trainables.crystals.parsing import parse
from trainables.crystals.sources import Source, SourceError, open_source
from trainables.crystals.sources.base import LONGEST_ID

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
