"""The MatBench stream: rows, ids, constant memory, and files that are not what they should be."""

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from trainables.crystals.sources import MatBench, Source, SourceError
from trainables.crystals.sources import json_stream as module

STRUCTURE = {
    "@module": "pymatgen.core.structure",
    "lattice": {"matrix": [[4, 0, 0], [0, 4, 0], [0, 0, 4]]},
    "sites": [{"species": [{"element": "Na", "occu": 1}], "abc": [0, 0, 0], "label": 'N"a]}'}],
}


def content(n: int, **changes: Any) -> dict[str, Any]:
    rows = [[STRUCTURE, row + 0.5] for row in range(n)]
    head = {"index": list(range(n)), "columns": ["structure", "last phdos peak"]}
    return {**head, "data": rows, **changes}


def write(path: Path, data: Any, **layout: Any) -> Path:
    text = data if isinstance(data, str) else json.dumps(data, **layout)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def test_ids_targets_and_order(tmp_path: Path) -> None:
    source = MatBench(write(tmp_path / "matbench_phonons.json.gz", content(12)))
    assert isinstance(source, Source)
    assert (source.name, source.target_name, source.unit) == ("phonons", "last phdos peak", "cm⁻¹")
    assert source.count() == 12
    entries = list(source.entries())
    assert [entry.row for entry in entries] == list(range(12))
    assert (entries[0].id, entries[11].id) == ("mb-phonons-01", "mb-phonons-12")
    assert entries[11].target == "11.5"
    assert entries[11].origin == "matbench_phonons.json.gz:12"
    assert json.loads(entries[3].text) == STRUCTURE


def test_underscores_of_a_task_become_dashes(tmp_path: Path) -> None:
    data = content(3, columns=["structure", "e_form"])
    source = MatBench(write(tmp_path / "matbench_mp_e_form.json.gz", data))
    assert next(source.entries()).id == "mb-mp-e-form-1"
    assert source.unit == "eV/atom"


def test_another_file_keeps_its_index_as_ids(tmp_path: Path) -> None:
    data = content(2, index=["mp-7", "mp-9"])
    source = MatBench(write(tmp_path / "mine.json", data))
    assert [entry.id for entry in source.entries()] == ["mp-7", "mp-9"]
    assert source.unit is None


@pytest.mark.parametrize("chunk", [1, 7, 100])
@pytest.mark.parametrize("indent", [None, 1])
def test_chunk_borders_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, indent: int | None
) -> None:
    path = write(tmp_path / "matbench_phonons.json", content(5), indent=indent)
    expected = list(MatBench(path).entries())
    monkeypatch.setattr(module, "_CHUNK", chunk)
    assert [e.target for e in MatBench(path).entries()] == ["0.5", "1.5", "2.5", "3.5", "4.5"]
    assert list(MatBench(path).entries()) == expected


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    big = {**STRUCTURE, "properties": {"padding": "x" * 20_000}}
    path = write(tmp_path / "big.json.gz", content(2000, data=[[big, 1.0]] * 2000))
    source = MatBench(path)
    tracemalloc.start()
    assert sum(1 for _ in source.entries()) == 2000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6  # the text has 40 MB


def test_a_target_may_be_named(tmp_path: Path) -> None:
    rows = [[1.5, STRUCTURE, 2.5]]
    data = {"index": [0], "columns": ["gap", "structure", "energy"], "data": rows}
    path = write(tmp_path / "two.json", data)
    assert next(MatBench(path, "energy").entries()).target == "2.5"
    with pytest.raises(SourceError, match="which column is the target"):
        MatBench(path)
    with pytest.raises(SourceError, match="did you mean 'energy'"):
        MatBench(path, "enrgy")
    assert MatBench(path, "energy").digest() != MatBench(path, "gap").digest()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<html>not found</html>", "not a MatBench JSON"),
        ("[1, 2]", "not a MatBench JSON"),
        ('{"columns": ["structure", "y"], "data": []}', "no list 'index'"),
        ('{"index": [], "data": []}', "no list 'columns'"),
        ('{"index": [0], "columns": ["structure", "y"]}', "'data' is missing"),
        ('{"index": [0], "columns": ["structure", "y"], "data": 3}', "not a list"),
        ('{"index": [0], "columns": ["composition", "y"], "data": []}', "transfer job"),
        ('{"index": [0, 1', "not a MatBench JSON"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path / "x.json", text)
    with pytest.raises(SourceError, match=words) as caught:
        MatBench(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_rows_are_noticed(tmp_path: Path) -> None:
    source = MatBench(write(tmp_path / "x.json", content(3, index=[0, 1, 2, 3])))
    with pytest.raises(SourceError, match="3 rows, but the index announces 4"):
        list(source.entries())


def test_text_that_ends_midway_is_noticed(tmp_path: Path) -> None:
    text = json.dumps(content(3))
    source = MatBench(write(tmp_path / "x.json", text[: len(text) // 2]))
    with pytest.raises(SourceError, match="no readable value in row 2"):
        list(source.entries())


def test_a_row_with_the_wrong_number_of_cells_is_one_bad_entry(tmp_path: Path) -> None:
    rows = [[STRUCTURE, 1.0], [STRUCTURE], [STRUCTURE, 2.0]]
    entries = list(MatBench(write(tmp_path / "x.json", content(3, data=rows))).entries())
    assert [entry.format for entry in entries] == ["json", "bad", "json"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "cut at the last byte"])
def test_damaged_gzip(tmp_path: Path, damage: str) -> None:
    path = write(tmp_path / "matbench_phonons.json.gz", content(3000))
    whole = bytearray(path.read_bytes())
    if damage == "flipped":
        whole[len(whole) // 2] ^= 0xFF
    path.write_bytes(whole[: {"cut": len(whole) // 2, "flipped": len(whole)}.get(damage, -1)])
    with pytest.raises(SourceError, match="fetch it again") as caught:
        list(MatBench(path).entries())
    assert "\n" not in str(caught.value)


def test_missing_and_empty_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        MatBench(tmp_path / "none.json.gz")
    (tmp_path / "empty.json").touch()
    with pytest.raises(SourceError, match="empty"):
        MatBench(tmp_path / "empty.json")
