"""CSV and Parquet tables of crystals."""

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainables.crystals.crystal import BadCrystal
from trainables.crystals.parsing import parse, parse_target
from trainables.crystals.sources import (
    ANY_COLUMN,
    CsvTable,
    Source,
    SourceError,
    open_source,
)
from trainables.crystals.sources.parquet import ParquetTable

CIF = (
    "data_x\n_cell_length_a 4\n_cell_length_b 4\n_cell_length_c 4\n_cell_angle_alpha 90\n"
    "_cell_angle_beta 90\n_cell_angle_gamma 90\nloop_\n_atom_site_label\n_atom_site_fract_x\n"
    "_atom_site_fract_y\n_atom_site_fract_z\nNa1 0 0 0\n"
)
JSON = json.dumps(
    {
        "lattice": {"matrix": [[4, 0, 0], [0, 4, 0], [0, 0, 4]]},
        "sites": [{"species": [{"element": "K", "occu": 1}], "abc": [0, 0, 0]}],
    }
)


def csv_text(header: list[str], *rows: list[str], **layout: str) -> str:
    out = io.StringIO()
    csv.writer(out, **layout).writerows([header, *rows])  # type: ignore[arg-type]
    return out.getvalue()


def test_csv_variants_are_read_alike(tmp_path: Path) -> None:
    header, rows = ["material_id", "cif", "target"], [["a", CIF, "1.5"], ["b", CIF, "2"]]
    variants = {
        "plain.csv": csv_text(header, *rows).encode(),
        "semicolon.csv": csv_text(header, *rows, delimiter=";").encode(),
        "unix.csv": csv_text(header, *rows, lineterminator="\n").encode(),
        "windows.csv": csv_text(header, *rows).replace("\r\n", "\n").replace("\n", "\r\n").encode(),
        "bom.csv": b"\xef\xbb\xbf" + csv_text(header, *rows).encode(),
        "packed.csv.gz": gzip.compress(csv_text(header, *rows).encode()),
    }
    for name, content in variants.items():
        (tmp_path / name).write_bytes(content)
        source = open_source(tmp_path / name)
        assert isinstance(source, CsvTable)
        assert isinstance(source, Source)
        assert (source.count(), source.target_name, source.unit) == (2, "target", None)
        entries = list(source.entries())
        assert [(e.row, e.id, parse_target(e)) for e in entries] == [(0, "a", 1.5), (1, "b", 2.0)]
        assert parse(entries[1]).numbers.tolist() == [11]
        assert entries[1].origin == f"{name}:2"


@pytest.mark.parametrize("column", ["material_id", "id", "mbid", None])
def test_csv_id_columns(tmp_path: Path, column: str | None) -> None:
    path = tmp_path / "x.csv"
    path.write_text(csv_text(["cif", "y", column or "note"], [CIF, "1", "mp-5"]))
    assert next(CsvTable(path).entries()).id == ("mp-5" if column else "1")


def test_csv_target_is_the_only_numeric_column_left(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(csv_text(["", "id", "cif", "formula", "gap"], ["0", "7", CIF, "Na", "1.5"]))
    assert CsvTable(path).target_name == "gap"


@pytest.mark.parametrize(
    ("header", "target", "words"),
    [
        (["id", "cif", "gap", "energy"], None, "name it as /.*/x.csv:COLUMN.*gap, energy"),
        (["id", "cif", "gap", "energy"], "enrgy", "no column 'enrgy'.*did you mean 'energy'"),
        (["id", "cif", "gap", "energy"], "zzz", "no column 'zzz'; it has id, cif, gap, energy"),
        (["id", "text", "gap", "energy"], None, "no cif or path column"),
        (["id", "formula", "gap", "energy"], None, "transfer job"),
        (["id", "cif", "gap", "gap"], "gap", "there twice"),
    ],
)
def test_csv_header_errors(
    tmp_path: Path, header: list[str], target: str | None, words: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_text(csv_text(header, ["a", CIF, "1", "2"]))
    with pytest.raises(SourceError, match=words) as caught:
        CsvTable(path, target)
    assert "\n" not in str(caught.value)


def test_the_target_may_be_in_other_capitals(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(csv_text(["id", "cif", "Gap", "GAP2", "Gap2"], ["a", CIF, "1", "2", "3"]))
    assert CsvTable(path, "gap").target_name == "Gap"
    assert CsvTable(path, "GAP2").target_name == "GAP2"
    with pytest.raises(SourceError, match="no column 'gap2'"):
        CsvTable(path, "gap2")


def test_readers_of_crystals_alone_need_no_target(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    for header, row in (
        (["id", "cif", "gap", "energy"], ["a", CIF, "1", "2"]),
        (["id", "cif", "colour"], ["a", CIF, "red"]),
        (["cif"], [CIF]),
    ):
        path.write_text(csv_text(header, row))
        (entry,) = open_source(path, ANY_COLUMN).entries()
        assert parse(entry).numbers.tolist() == [11]


def test_csv_without_a_numeric_column(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(csv_text(["id", "cif", "colour"], ["a", CIF, "red"]))
    with pytest.raises(SourceError, match="no numeric column"):
        CsvTable(path)


def test_csv_short_row_is_one_bad_entry(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(csv_text(["id", "cif", "y"], ["a", CIF, "1"], ["b", CIF], ["c", CIF, "3"]))
    entries = list(CsvTable(path).entries())
    assert [e.format for e in entries] == ["cif", "bad", "cif"]
    with pytest.raises(BadCrystal, match="2 cells, but 3 columns"):
        parse(entries[1])


def test_csv_cell_above_the_library_limit(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(csv_text(["cif", "y"], [CIF + "#" * 300_000, "1"]))
    assert parse(next(CsvTable(path).entries())).numbers.tolist() == [11]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b'id,cif,y\na,"never closed,1\n', "not CSV"),
        (b"id,cif,y\na,\xff\xfe,1\n", "not UTF-8.*byte"),
        (gzip.compress(b"id,cif,y\n" + b"a,b,1\n" * 9999)[:-9], "broken or cut short"),
    ],
)
def test_csv_broken_files(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=words) as caught:
        list(CsvTable(path).entries())
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    columns = {"structure": [JSON] * 700 + [None], "y": [0.5] * 699 + [None, 2.0]}
    pq.write_table(pa.table(columns), path, row_group_size=100)
    source = open_source(path)
    assert isinstance(source, ParquetTable)
    assert isinstance(source, Source)
    assert (source.count(), source.target_name) == (701, "y")
    entries = list(source.entries())
    assert [e.row for e in entries] == list(range(701))
    assert parse(entries[0]).numbers.tolist() == [19]
    assert (parse_target(entries[0]), entries[0].id) == (0.5, "1")
    with pytest.raises(BadCrystal, match="no structure"):
        parse(entries[700])
    with pytest.raises(BadCrystal, match="missing target"):
        parse_target(entries[699])


def test_parquet_ids_cif_and_other_targets(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    table = {"material_id": ["a", "b"], "cif": [CIF, CIF], "metal": [True, False], "n": [3, 4]}
    pq.write_table(pa.table(table), path)
    entries = list(ParquetTable(path, "metal").entries())
    assert [(e.id, parse_target(e)) for e in entries] == [("a", 1.0), ("b", 0.0)]
    assert parse(entries[0]).numbers.tolist() == [11]
    assert ParquetTable(path, "metal").digest() != ParquetTable(path, "n").digest()


def test_parquet_target_nan(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"structure": [JSON], "y": [float("nan")]}), path)
    with pytest.raises(BadCrystal, match="missing target"):
        parse_target(next(ParquetTable(path).entries()))


def test_parquet_errors(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with pytest.raises(SourceError, match="no such file"):
        ParquetTable(path)
    path.write_bytes(b"no parquet at all")
    with pytest.raises(SourceError, match="broken or not Parquet") as caught:
        ParquetTable(path)
    assert "\n" not in str(caught.value)
    pq.write_table(pa.table({"formula": ["Na"], "y": [1.0]}), path)
    with pytest.raises(SourceError, match=r"no structure column.*transfer job"):
        ParquetTable(path)
    pq.write_table(pa.table({"structure": [1], "y": [1.0]}), path)
    with pytest.raises(SourceError, match="holds int64, no text"):
        ParquetTable(path)


def test_unknown_kinds_of_path(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file or folder"):
        open_source(tmp_path / "none.csv")
    (tmp_path / "x.xlsx").touch()
    with pytest.raises(SourceError, match="unknown kind of file"):
        open_source(tmp_path / "x.xlsx")


def test_a_table_of_paths_reads_the_files_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "a.cif").write_text(CIF)
    (tmp_path / "b.json").write_text(JSON)
    (tmp_path.parent / "outside.cif").write_text(CIF)
    (tmp_path / "link.cif").symlink_to(tmp_path.parent / "outside.cif")
    paths = ["cells/a.cif", "b.json", "missing.cif", "../outside.cif", "link.cif", ""]
    table = tmp_path / "x.csv"
    table.write_text(csv_text(["path", "gap"], *([path, "1.5"] for path in paths)))
    source = open_source(table)
    assert isinstance(source, CsvTable) and source.target_name == "gap" and source.count() == 6
    first, second, *bad = source.entries()
    assert (first.id, parse(first).numbers.tolist()) == ("cells/a.cif", [11])
    assert (second.format, parse(second).numbers.tolist()) == ("json", [19])
    assert [entry.format for entry in bad] == ["bad"] * 4
    reasons = [entry.text.split(":")[0] for entry in bad]
    assert reasons == ["no structure file", "forbidden path", "forbidden path", "missing id"]
    followed = open_source(table, follow_links=True)
    assert list(followed.entries())[4].format == "cif"
    before = source.digest()
    (tmp_path / "b.json").write_text(JSON.replace("K", "Rb"))
    assert source.digest() != before, "a file that it names has changed"


def test_a_table_of_paths_may_have_ids(tmp_path: Path) -> None:
    (tmp_path / "a.cif").write_text(CIF)
    table = tmp_path / "x.csv"
    table.write_text(csv_text(["id", "File", "y"], ["mp-5", "a.cif", "2"]))
    (entry,) = open_source(table).entries()
    assert (entry.id, entry.format, entry.target) == ("mp-5", "cif", "2")
