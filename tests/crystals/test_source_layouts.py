"""Tables and folders as people, spreadsheets and other programs lay them out."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.data.datasets import resolve
from orchestrator.interface.errors import UsageError
from tests.crystals.test_fuzz_sources import VALID
from tests.crystals.test_source_folder import CIF, folder
from trainables.crystals.crystal import BadCrystal
from trainables.crystals.parsing import parse, parse_target
from trainables.crystals.sources import ANY_COLUMN, Source, SourceError, gunzip, open_source
from trainables.crystals.sources.table import sniff_delimiter

QUOTED = '"' + CIF.replace('"', '""') + '"'
ROWS = f"a,{QUOTED},1\nb,{QUOTED},2\n"


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(path: Path, target: str | None = None) -> str:
    with pytest.raises(SourceError) as caught:
        list(open_source(path, target).entries())
    text = str(caught.value)
    assert text.isprintable() and len(text) < 500
    return text


def read(source: Source) -> list[tuple[str, float]]:
    assert all(len(parse(entry).numbers) for entry in source.entries())
    return [(entry.id, parse_target(entry)) for entry in source.entries()]


@pytest.mark.parametrize(
    "content",
    {
        "semicolons": (f"id;cif;y\n{ROWS}".replace(",", ";")),
        "Excel's first line": (f"sep=;\r\nid;cif;y\r\n{ROWS}".replace(",", ";")),
        "the same, quoted, with BOM": (f'\ufeff"sep=,"\r\nid,cif,y\r\n{ROWS}'),
        "tabs": (f"id\tcif\ty\n{ROWS}".replace(",", "\t")),
        "line ends of three kinds": (f"id,cif,y\r\n{ROWS}".replace("1\nb", "1\rb")),
        "blank lines": (f"\n\nid,cif,y\n\n{ROWS}\n\n"),
        "a quoted header": (f'"id","cif","y"\n{ROWS}'),
        "a header with a line break": (f'"id","cif","y\n(eV)"\n{ROWS}'),
        "blanks around names": (f" id , cif ,  y\n{ROWS}"),
        "capitals": (f"ID,CIF,y\n{ROWS}"),
        "another spelling": (f"Material ID,Cif,Target\n{ROWS}"),
        "UTF-8 with BOM": b"\xef\xbb\xbf" + f"id,cif,y\n{ROWS}".encode(),
        "packed": gzip.compress(f"sep=,\nid,cif,y\n{ROWS}".encode()),
    }.values(),
)
def test_tables_of_other_programs(tmp_path: Path, content: str | bytes) -> None:
    source = open_source(written(tmp_path / "x.csv", content))
    assert read(source) == [("a", 1.0), ("b", 2.0)]
    assert source.count() == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("id,cif,y\n", "no row below the header has 3 cells"),
        ("sep=;\n", "no cif or path column; it has no columns"),
        (f"id,cif,y\n{ROWS}".encode("utf-16"), "not UTF-8 (byte 0"),
        (f"id,cif,y\n{ROWS}".encode("utf-16-le"), "line 1 holds zero bytes"),
        (f"id,cif,y\n{ROWS}é".encode("latin-1"), "not UTF-8 (byte"),
        (f"id,cif,CIF,y\na,{QUOTED},x,1\n", "two columns are called 'cif'; rename one"),
        (f"id,ID,cif,y\na,b,{QUOTED},1\n", "two columns are called 'id'"),
        (f"id,cif,y,y\na,{QUOTED},1,2\n", "column 'y' is there twice"),
        ("id,\x1b[2J,\u202ey\na,b,1\n", r"no cif or path column; it has id, \x1b[2J, \u202ey"),
        ("Pretty Formula,y\nNaCl,1\n", "formulas alone are for the transfer job"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, content: str | bytes, words: str) -> None:
    assert words in refused(written(tmp_path / "x.csv", content))


def test_columns_that_do_not_matter_may_have_one_name(tmp_path: Path) -> None:
    source = open_source(written(tmp_path / "x.csv", f"n,n,cif,y\n0,0,{QUOTED},1\n"), "y")
    assert read(source) == [("1", 1.0)]


def test_a_semicolon_goes_before_as_many_commas() -> None:
    assert sniff_delimiter("NaCl;0,913") == ";"
    assert sniff_delimiter('"a;b;c",cif') == ","
    assert sniff_delimiter("one") == ","


@pytest.mark.parametrize("name", ["structure", "y", "id"])
def test_a_parquet_column_that_is_there_twice(tmp_path: Path, name: str) -> None:
    columns = {"id": pa.array(["a"]), "structure": pa.array([VALID["json"]]), "y": pa.array([1.0])}
    names = [*columns, name]
    table = pa.Table.from_arrays([*columns.values(), columns[name]], names=names)
    pq.write_table(table, tmp_path / "x.parquet")
    assert f"{name!r}" in (told := refused(tmp_path / "x.parquet")) and "rename one" in told


def test_other_parquet_columns_may_be_there_twice(tmp_path: Path) -> None:
    arrays = [
        pa.array(["a"]),
        pa.array([VALID["json"]]),
        pa.array([1.0]),
        *[pa.array([[{"n": 1}]])] * 2,
    ]
    table = pa.Table.from_arrays(arrays, names=["ID", "Structure", "y", "more", "more"])
    pq.write_table(table, tmp_path / "x.parquet")
    assert read(open_source(tmp_path / "x.parquet")) == [("a", 1.0)]


def test_lists_of_equal_numbers_do_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million zeros take some bytes of a file."""
    columns = {"cif": [CIF], "y": [[0.0] * 1_000_000]}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    assert open_source(tmp_path / "x.parquet").cells.shape == (1_000_000,)
    monkeypatch.setattr(gunzip, "HARMLESS", 1 << 20)
    assert "its numbers come to more than 200 times the size" in refused(tmp_path / "x.parquet")


def test_a_list_of_decimal_numbers_is_exact(tmp_path: Path) -> None:
    column = pa.array([[Decimal("0.10"), None]], pa.list_(pa.decimal128(5, 2)))
    pq.write_table(pa.table({"cif": [CIF], "y": column}), tmp_path / "x.parquet")
    (entry,) = open_source(tmp_path / "x.parquet").entries()
    assert entry.target == '["0.10", null]'


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pa.array([[[1.0]]]), "column 'y' holds list<element: list<element: double>>, no numbers"),
        (pa.array([b"1"]), "column 'y' holds binary, no numbers"),
        (pa.array([0], pa.timestamp("us")), "column 'y' holds timestamp[us], no numbers"),
    ],
)
def test_a_parquet_target_that_is_no_number(tmp_path: Path, column: pa.Array, words: str) -> None:
    pq.write_table(pa.table({"cif": [CIF], "y": column}), tmp_path / "x.parquet")
    assert words in refused(tmp_path / "x.parquet", "y")


def test_parquet_columns_by_dictionary(tmp_path: Path) -> None:
    cells = pa.array([VALID["json"]] * 3).dictionary_encode()
    ids = pa.array(["a", "b", "c"]).dictionary_encode()
    pq.write_table(pa.table({"id": ids, "structure": cells, "y": [1, 2, 3]}), tmp_path / "x.pq")
    assert read(open_source(tmp_path / "x.pq")) == [("a", 1.0), ("b", 2.0), ("c", 3.0)]


def alone(folder: Path) -> list[Path]:
    """Crystals without a target, in each format."""
    (folder / "bare").mkdir()
    for name in ("b.cif", "A.CIF", "d/POSCAR", "POSCAR-c"):
        (folder / "bare" / name).parent.mkdir(exist_ok=True)
        (folder / "bare" / name).write_text(VALID["cif" if "." in name else "poscar"])
    (folder / "bare" / "notes.txt").write_text("x")
    for name, table in (("one", "a\nb\n"), ("empty", "a,\nb,\n"), ("headed", "id\na\nb\n")):
        (folder / name).mkdir()
        (folder / name / "id_prop.csv").write_text(table)
        for id in "ab":
            (folder / name / f"{id}.cif").write_text(CIF)
    content = {"index": [0, 1], "columns": ["structure"], "data": [[json.loads(VALID["json"])]] * 2}
    written(folder / "x.json", json.dumps(content))
    written(folder / "x.csv", f"cif\n{QUOTED}\n{QUOTED}\n")
    pq.write_table(pa.table({"structure": [VALID["json"]] * 2}), folder / "x.parquet")
    pq.write_table(
        pa.table({"structure": [VALID["json"]] * 2, "y": [{"n": 1}] * 2}), folder / "y.parquet"
    )
    return sorted(folder.iterdir())


def test_crystals_alone_need_no_target(tmp_path: Path) -> None:
    for path in alone(tmp_path):
        source = open_source(path, ANY_COLUMN)
        entries = list(source.entries())
        assert len(entries) == source.count() == (4 if path.name == "bare" else 2), path
        assert all(entry.target is None and len(parse(entry).numbers) for entry in entries)
        assert len(source.digest()) == 64


def test_a_crystal_without_an_id_is_called_by_its_row(tmp_path: Path) -> None:
    """From 1, in each format."""
    salt = {
        "lattice": {"matrix": [[4, 0, 0], [0, 4, 0], [0, 0, 4]]},
        "sites": [
            {"species": [{"element": name, "occu": 1}], "abc": [place] * 3}
            for name, place in (("Na", 0), ("Cl", 0.5))
        ],
    }
    texts = [json.dumps(salt)] * 2
    pq.write_table(pa.table({"structure": texts, "gap": [1.0, 2.0]}), tmp_path / "x.parquet")
    written(tmp_path / "x.json", json.dumps([{"structure": salt, "gap": gap} for gap in (1, 2)]))
    quoted = ['"' + text.replace('"', '""') + '"' for text in texts]
    written(tmp_path / "x.csv", "structure,gap\n" + "".join(f"{one},1\n" for one in quoted))
    frame = '2\nLattice="4 0 0 0 4 0 0 0 4" gap=1\nNa 0 0 0\nCl 2 2 2\n'
    written(tmp_path / "x.xyz", frame * 2)
    for form in ("parquet", "json", "csv", "xyz"):
        found = list(open_source(tmp_path / f"x.{form}", "gap").entries())
        assert [entry.id for entry in found] == ["1", "2"], form
        assert [len(parse(entry).numbers) for entry in found] == [2, 2]


def test_a_folder_without_a_table_is_taken_in_the_order_of_names(tmp_path: Path) -> None:
    alone(tmp_path)
    entries = open_source(tmp_path / "bare", ANY_COLUMN).entries()
    assert [entry.id for entry in entries] == ["A.CIF", "POSCAR-c", "b.cif", "d/POSCAR"]
    assert "no id_prop.csv in this folder" in refused(tmp_path / "bare")
    (tmp_path / "none").mkdir()
    assert "no structure files in this folder" in refused(tmp_path / "none", ANY_COLUMN)


def test_a_table_with_several_targets_tells_what_works(tmp_path: Path) -> None:
    path = folder(tmp_path / "mine", "a,1,2\n", {"a.cif": CIF})
    told = refused(path)
    assert f"name it as {path}:COLUMN, one of 1, 2" in told
    for spec in (f"{path}:2", f"{path}/:2", f"{path}/id_prop.csv:2"):
        assert (source := resolve(spec)).name == "mine"
        assert read(source) == [("a", 2.0)]


def test_links_into_a_store_are_followed_where_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "1.cif").write_text(CIF)
    path = folder(tmp_path / "mine", "a,1\n../store/1,2\n", {})
    (path / "a.cif").symlink_to(tmp_path / "store" / "1.cif")
    link, outside = open_source(path).entries()
    assert link.text.endswith(
        "the file is a link that leaves the folder; --follow-links allows that"
    )
    followed, still = open_source(path, follow_links=True).entries()
    assert parse(followed).numbers.tolist() == [11]
    with pytest.raises(BadCrystal, match="forbidden path: an id must stay inside"):
        parse(still)
    assert outside == still


@pytest.mark.parametrize("name", ["a\x1b[2J.csv", "a\nb.csv", "\u202ea.csv"])
def test_a_name_that_no_screen_shows_is_refused(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, f"id,cif,y\n{ROWS}")
    assert "holds characters that no screen shows; rename it" in refused(path)
    with pytest.raises(UsageError, match="no screen shows"):
        resolve(f"\x07={written(tmp_path / 'b.csv', ROWS)}")
