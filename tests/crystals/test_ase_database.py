"""Databases of ASE: read and never written, damaged and hostile ones refused."""

from __future__ import annotations

import json
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.crystals.ase_structures import FILES, crystals, of, reason, refused, salt
from trainables.crystals.parsing import parse
from trainables.crystals.sources import ANY_COLUMN, open_source


def test_values_of_a_database() -> None:
    for target, known in {"gap": 8.5, "energy": -7.0, "metal": False}.items():
        entry = next(iter(open_source(FILES / "ase.db", target).entries()))
        assert json.loads(entry.target or "") == known
    assert "it has gap, metal, label, energy, id" in refused(FILES / "ase.db", "dos")


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


def test_what_data_holds_is_not_read(tmp_path: Path) -> None:
    path = of("db", tmp_path, [salt()])
    changed(path, "UPDATE systems SET data = ?", values=(b"\x80\x04" * (12 << 20),))
    assert len(crystals(path)) == 1
