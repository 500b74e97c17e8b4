"""A folder with id_prop.csv and structure files."""

from pathlib import Path

import pytest

from trainables.crystals.crystal import BadCrystal
from trainables.crystals.parsing import parse, parse_target
from trainables.crystals.sources import Folder, Source, SourceError, open_source

POSCAR = "x\n1.0\n4 0 0\n0 4 0\n0 0 4\nK\n1\nDirect\n0 0 0\n"
CIF = (
    "data_x\n_cell_length_a 4\n_cell_length_b 4\n_cell_length_c 4\n_cell_angle_alpha 90\n"
    "_cell_angle_beta 90\n_cell_angle_gamma 90\nloop_\n_atom_site_label\n_atom_site_fract_x\n"
    "_atom_site_fract_y\n_atom_site_fract_z\nNa1 0 0 0\n"
)


def folder(path: Path, table: str, files: dict[str, str]) -> Path:
    path.mkdir(exist_ok=True)
    (path / "id_prop.csv").write_bytes(table.encode())
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def test_all_file_names(tmp_path: Path) -> None:
    files = {
        "a.cif": CIF,
        "b.vasp": POSCAR,
        "c.poscar": POSCAR,
        "POSCAR-d": POSCAR,
        "e/POSCAR": POSCAR,
        "f.cif": CIF,
        "POSCAR-g.vasp": POSCAR,
    }
    table = "a,1\nb,2\nc,3\nd,4\ne,5\nf.cif,6\nPOSCAR-g.vasp,7\n"
    source = open_source(folder(tmp_path / "mine", table, files))
    assert isinstance(source, Folder)
    assert isinstance(source, Source)
    assert (source.name, source.count(), source.target_name) == ("mine", 7, "target")
    entries = list(source.entries())
    assert [parse_target(e) for e in entries] == [1, 2, 3, 4, 5, 6, 7]
    assert [int(parse(e).numbers[0]) for e in entries] == [11, 19, 19, 19, 19, 11, 19]
    assert [e.origin for e in entries][4:6] == ["mine/e/POSCAR", "mine/f.cif"]


def test_suffixes_in_capitals_or_not(tmp_path: Path) -> None:
    files = {"a.CIF": CIF, "b.VASP": POSCAR, "c.Poscar": POSCAR, "sub/d.Cif": CIF}
    entries = list(Folder(folder(tmp_path, "a,1\nb,2\nc,3\nsub/d,4\n", files)).entries())
    assert [int(parse(entry).numbers[0]) for entry in entries] == [11, 19, 19, 11]


@pytest.mark.parametrize("other", ["a.vasp", "a.CIF", "POSCAR-a", "a/POSCAR"])
def test_of_two_files_of_one_id_none_is_taken(tmp_path: Path, other: str) -> None:
    path = folder(tmp_path, "a,1\nb,2\nc.cif,3\n", {"a.cif": CIF, other: POSCAR, "b.cif": CIF})
    folder(tmp_path, "a,1\nb,2\nc.cif,3\n", {"c.cif": CIF, "c.vasp": POSCAR})
    bad, good, whole = Folder(path).entries()
    assert bad.format == "bad" and "a.cif" in bad.text and other in bad.text
    assert (good.format, whole.format) == ("cif", "cif")


@pytest.mark.parametrize(
    "table",
    ["a,1\r\nb,2\r\n", "\ufeffa,1\nb,2", "id,gap\na,1\nb,2\n", "a;1\nb;2\n", "\na, 1\nb,2\n\n"],
)
def test_tables_of_every_make(tmp_path: Path, table: str) -> None:
    source = Folder(folder(tmp_path, table, {"a.cif": CIF, "b.cif": CIF}))
    assert [(e.id, parse_target(e)) for e in source.entries()] == [("a", 1.0), ("b", 2.0)]
    assert source.target_name == ("gap" if "gap" in table else "target")


def test_several_targets(tmp_path: Path) -> None:
    path = folder(tmp_path, "id,gap,energy\na,1,2\n", {"a.cif": CIF})
    assert parse_target(next(Folder(path, "energy").entries())) == 2.0
    with pytest.raises(SourceError, match="which column"):
        Folder(path)
    bare = folder(tmp_path, "a,1,2\n", {})
    assert parse_target(next(Folder(bare, "2").entries())) == 2.0


def bad_reason(source: Folder) -> str:
    (entry,) = source.entries()
    with pytest.raises(BadCrystal) as caught:
        parse(entry)
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["../secret", "x/../../secret", "/etc/passwd", "..\\secret", "C:\\x"]
)
def test_ids_may_not_leave_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.cif").write_text(CIF)
    path = folder(tmp_path / "in", f"{name},1\n", {})
    assert bad_reason(Folder(path)).startswith("forbidden path")


def test_links_may_not_leave_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.cif").write_text(CIF)
    path = folder(tmp_path / "in", "a,1\n", {})
    (path / "a.cif").symlink_to(tmp_path / "secret.cif")
    assert "link that leaves the folder" in bad_reason(Folder(path))


@pytest.mark.parametrize("name", ["in/secret", "in/../in/secret", "deep/in/secret.cif"])
def test_no_folder_on_the_way_may_be_a_link_that_leaves(tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "secret.cif").write_text(CIF)
    path = folder(tmp_path / "mine", f"{name},1\n", {})
    (path / "deep").mkdir()
    for link in (path / "in", path / "deep" / "in"):
        link.symlink_to(tmp_path / "out")
    assert bad_reason(Folder(path)).startswith("forbidden path")


def test_links_within_the_folder_are_followed(tmp_path: Path) -> None:
    path = folder(tmp_path / "mine", "a,1\n", {"kept/b.cif": CIF})
    (path / "a.cif").symlink_to(path / "kept" / "b.cif")
    (entry,) = Folder(path).entries()
    assert parse(entry).numbers.tolist() == [11]


def test_missing_file_names_what_was_looked_for(tmp_path: Path) -> None:
    reason = bad_reason(Folder(folder(tmp_path, "a,1\n", {})))
    assert reason.startswith("no structure file: a, a.cif, a.vasp")


def test_an_id_longer_than_file_names_are(tmp_path: Path) -> None:
    reason = bad_reason(Folder(folder(tmp_path, f"{'a' * 300},1\n", {})))
    assert reason.startswith("id too long for a file's name: 'aaaa") and len(reason) < 100


def test_huge_file(tmp_path: Path) -> None:
    path = folder(tmp_path, "a,1\n", {})
    with (path / "a.cif").open("wb") as file:
        file.truncate(17 << 20)
    assert "more than 16 MB" in bad_reason(Folder(path))


def test_empty_cif_and_missing_target(tmp_path: Path) -> None:
    source = Folder(folder(tmp_path, "a,1\nb\n", {"a.cif": "", "b.cif": CIF}))
    empty, lone = source.entries()
    with pytest.raises(BadCrystal, match="no structure"):
        parse(empty)
    with pytest.raises(BadCrystal, match="missing target"):
        parse_target(lone)


def test_table_errors(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no id_prop\.csv.*ID,TARGET"):
        Folder(tmp_path)
    with pytest.raises(SourceError, match="empty"):
        Folder(folder(tmp_path, "\n\n", {}))
    with pytest.raises(SourceError, match="one column"):
        Folder(folder(tmp_path, "a\nb\n", {}))


def test_digest_sees_structures_targets_and_nothing_else(tmp_path: Path) -> None:
    first = folder(tmp_path / "one", "a,1\n", {"a.cif": CIF})
    digest = Folder(first).digest()
    assert (
        Folder(folder(tmp_path / "two", "a,1\n", {"a.cif": CIF, "note.txt": "x"})).digest()
        == digest
    )
    assert Folder(folder(tmp_path / "three", "a,2\n", {"a.cif": CIF})).digest() != digest
    assert Folder(folder(tmp_path / "four", "a,1\n", {"a.cif": CIF + "#"})).digest() != digest
