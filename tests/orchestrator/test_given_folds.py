"""`--groups` and `--split`: what they say, of which rows, and what the run keeps of it. No Ray."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray

from orchestrator.data.divided import FILE, divide, folds_of, recorded_digests
from orchestrator.data.featurise import Featurised
from orchestrator.data.given_folds import Division, demand_own_folds, division_of, fields_of
from orchestrator.data.shard_writer import ShardWriter
from orchestrator.data.unseen import say_unseen
from orchestrator.element_groups.screening import of_run
from orchestrator.grid.inputs import describe, fingerprint
from orchestrator.grid.parts import conditions_of
from orchestrator.grid.request import build_config
from orchestrator.hybrid_grid.flags import parse
from orchestrator.interface.errors import UsageError
from orchestrator.jobs import JOBS
from orchestrator.runs.run_directory import open_manifest, write_manifest
from orchestrator.transfer.entries import fingerprint as printed
from orchestrator.transfer.flags import parse as parse_transfer
from orchestrator.transfer.inputs import open_data
from trainables.crystals.sources.cells import NUMBERS, Cells
from trainables.crystals.sources.table import CsvTable
from trainables.models.backbones import BACKBONES
from trainables.representations import shards
from trainables.representations.dataset import Dataset, split_dataset
from trainables.representations.graph import Graphs
from trainables.testing.samples import made_up_dataset

KIND = BACKBONES["cgcnn"].representation.name
CONFIG = build_config("demo", {"backbones": ("cgcnn",), "folds": (0, 1, 2, 3, 4)})


def crystals(count: int = 40) -> Dataset:
    return made_up_dataset("cgcnn", count)


def refusal(groups: str | None = None, split: Path | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        division_of(groups, split)
    text = str(caught.value)
    assert "\n" not in text and text.startswith(("--groups ", "--split"))
    return text


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def groups_file(path: Path, count: int = 40, header: bool = True) -> Path:
    lines = [f"made-{row},g{row // 3}" for row in range(count)]
    return write(path, *(["id,group"] if header else []), *lines)


# ----------------------------------------------------------------------------- what files say


def test_a_file_of_groups_with_and_without_a_header_says_the_same(tmp_path: Path) -> None:
    one = division_of(str(groups_file(tmp_path / "a.csv")), None)
    other = division_of(str(groups_file(tmp_path / "b.csv", header=False)), None)
    assert one and other and one.groups == other.groups and one.digest == other.digest
    lines = [f"made-{row};x;g{row // 3}" for row in range(40)][::-1]
    third = division_of(str(write(tmp_path / "c.csv", "material_id;more;Group", *lines)), None)
    assert third and third.digest == one.digest, "columns by name, rows in any order"
    assert fields_of(one) == {"groups": one.digest} and fields_of(None) == {}
    changed = groups_file(tmp_path / "a.csv").read_text().replace("g0", "g1", 1)
    again = division_of(str(write(tmp_path / "a.csv", changed)), None)
    assert again and again.digest != one.digest


def test_what_is_no_file_of_groups(tmp_path: Path) -> None:
    path = tmp_path / "g.csv"
    assert "line 3: a has an empty group" in refusal(str(write(path, "id,group", "b,1", "a,")))
    assert "line 2: a is in two groups" in refusal(str(write(path, "a,1", "a,2")))
    assert "line 3: 3 cells, but 2 columns" in refusal(str(write(path, "id,group", "a,1", "b,1,2")))
    assert "no lines of id,group" in refusal(str(write(path, "a", "b")))
    assert "no lines of id,group" in refusal(str(write(path, "id,group")))
    path.write_text("")
    assert "the file is empty" in refusal(str(path))
    path.write_bytes(b"a,\xff\xfe")
    assert "not UTF-8" in refusal(str(path))
    assert "leave --groups out" in refusal("formula", path)


def test_what_is_no_split(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    assert "line 1: fold '5' is none of 0 to 4" in refusal(None, write(path, "a,5"))
    assert "fold 'x' is none" in refusal(None, write(path, "id,fold", "a,x"))
    assert "a is tested in two folds" in refusal(None, write(path, "a,1", "a,2"))
    assert "part 'valid' is none of train, validation, test" in refusal(
        None, write(path, "id,fold,part", "a,0,valid")
    )
    assert "a is in two parts of fold 0" in refusal(None, write(path, "a,0,test", "a,0,train"))
    assert "no such file" in refusal(None, tmp_path / "none.csv")


def test_what_the_grid_is_asked_without_the_flags_is_what_it_was() -> None:
    """Manifests and keys of runs from before stay what they are."""
    options = parse(["--preset", "demo"])
    assert options.division is None
    assert (options.config.groups, options.config.split) == (None, None)
    data = Featurised({}, {KIND: "f"}, 9, 9, 0)
    assert fingerprint(CONFIG, data, "cgcnn") == "f"
    assert fingerprint(CONFIG, dataclasses.replace(data, folds="d"), "cgcnn") == "f-d"
    entry = describe({"salts": crystals_source()}, {"salts": data})["salts"]
    assert "folds" not in entry


def crystals_source() -> Any:
    @dataclasses.dataclass
    class Source:
        name: str = "salts"
        target_name: str = "y"
        unit: str | None = None
        cells: Cells = NUMBERS

    return Source()


def test_another_file_is_another_grid(tmp_path: Path) -> None:
    path = groups_file(tmp_path / "g.csv")
    flags = ["--preset", "demo", "--groups", str(path)]

    def asked() -> dict[str, Any]:
        return {"config": parse(flags).config.model_dump(mode="json")}

    write_manifest(tmp_path, asked())
    open_manifest(tmp_path, "hybrid_grid", asked(), what="grid", extend=False)
    write(path, path.read_text().replace("g1\n", "g2\n"))
    with pytest.raises(UsageError, match=r"holds another grid \(groups was \w+, is \w+\)"):
        open_manifest(tmp_path, "hybrid_grid", asked(), what="grid", extend=False)


# ------------------------------------------------------------------------ of which rows they say


def featurised(folder: Path, dataset: Dataset) -> Featurised:
    writer = ShardWriter(folder / KIND, Graphs)
    ids = dataset.ids.tolist()
    writer.add(shards.to_table(ids, dataset.rows, dataset.target, dataset.graphs))
    writer.close({"total": dataset.total, "bad": dataset.total - len(dataset)})
    fingerprint = json.loads((folder / KIND / shards.MANIFEST).read_text())["fingerprint"]
    return Featurised({KIND: folder / KIND}, {KIND: fingerprint}, len(ids), dataset.total, 0)


def divided(
    run: Path, division: Division | None, dataset: Dataset, source: Any = None, name: str = "salts"
) -> tuple[Dataset, Featurised]:
    data = featurised(run / "shards" / name, dataset)
    datasets, told = divide(
        run, division, {name: source or crystals_source()}, {(name, "cgcnn"): dataset}, {name: data}
    )
    return datasets[name, "cgcnn"], told[name]


def test_groups_hold_in_every_fold_and_the_run_keeps_them(tmp_path: Path) -> None:
    division = division_of(str(groups_file(tmp_path / "g.csv")), None)
    kept = dataclasses.replace(crystals(), rows=np.arange(40) + 2, total=50)
    dataset, data = divided(tmp_path, division, kept)
    group = np.arange(40) // 3
    for fold in range(5):
        split = split_dataset(dataset, fold, seed=0)
        found = [set(group[rows]) for rows in (split.train, split.validation, split.test)]
        assert not found[0] & found[1] and not found[1] & found[2] and not found[0] & found[2]
        assert all(found)
    assert dataset.folds is not None and data.folds == dataset.folds.digest()
    fields = {"groups": division.digest if division else ""}
    manifest = {"config": fields, "datasets": {"salts": {"folds": data.folds}}}
    write_manifest(tmp_path, manifest)
    again = folds_of(tmp_path, "salts", dataset.rows)
    assert again is not None and again.digest() == data.folds
    train, test = of_run(tmp_path, "salts").fold(2)
    split = split_dataset(dataset, 2, seed=0)
    assert np.array_equal(test, split.test)
    assert set(train) == {*split.train, *split.validation}, "forests see the same folds"
    assert recorded_digests(tmp_path, fields) == {"salts": data.folds}
    assert recorded_digests(tmp_path, {"groups": "others"}) == {}
    other, _ = divided(tmp_path / "other", None, crystals())
    assert other.folds is None and not (tmp_path / "other" / FILE).exists()
    with pytest.raises(UsageError, match=r"folds\.parquet: not the folds of this run's models"):
        folds_of(tmp_path, "salts", dataset.rows[1:])
    write_manifest(tmp_path, {"config": {}, "datasets": {"salts": {}}})
    assert folds_of(tmp_path, "salts", dataset.rows) is None


def test_a_row_without_a_group_is_named(tmp_path: Path) -> None:
    division = division_of(str(groups_file(tmp_path / "g.csv", 35)), None)
    with pytest.raises(UsageError) as caught:
        divided(tmp_path, division, crystals())
    assert str(caught.value).endswith(
        "g.csv: no group for made-35, made-36, made-37 and 2 more of salts; give each id a line"
    )
    few = write(tmp_path / "f.csv", *(f"made-{row},g{row % 4}" for row in range(40)))
    with pytest.raises(UsageError, match="salts: 4 groups; 5 folds need at least 5"):
        divided(tmp_path, division_of(str(few), None), crystals())


def test_a_split_row_by_row(tmp_path: Path) -> None:
    lines = [f"made-{row},{row % 5}" for row in range(40)]
    dataset, _ = divided(tmp_path, division_of(None, write(tmp_path / "s.csv", *lines)), crystals())
    assert split_dataset(dataset, 3, 0).test.tolist() == list(range(3, 40, 5))
    parts = ["train"] * 28 + ["validation"] * 6 + ["test"] * 6
    lines = [f"made-{row},0,{part}" for row, part in enumerate(parts)]
    path = write(tmp_path / "p.csv", "id,fold,part", *lines)
    dataset, _ = divided(tmp_path, division_of(None, path), crystals())
    split = split_dataset(dataset, 0, 0)
    assert split.sizes == {"n_train": 28, "n_val": 6, "n_test": 6}
    conditions_of(CONFIG.model_copy(update={"folds": (0,)}), {("salts", "cgcnn"): dataset})
    with pytest.raises(UsageError, match="of fold 1, 0 training, 0 validation and 0 test"):
        conditions_of(CONFIG, {("salts", "cgcnn"): dataset})


def test_crystals_of_one_composition_as_a_group(tmp_path: Path) -> None:
    twice = dataclasses.replace(
        made_up_dataset("cgcnn", 40), ids=np.array([f"made-{row}" for row in range(40)])
    )
    dataset, _ = divided(tmp_path, division_of("formula", None), twice)
    z, ptr = dataset.graphs.z, dataset.graphs.node_ptr
    kinds = [tuple(sorted(set(z[a:b].tolist()))) for a, b in pairwise(ptr)]
    assert dataset.folds is not None and dataset.folds.groups is not None
    for one in range(40):
        for other in range(one):
            if dataset.folds.groups[one] == dataset.folds.groups[other]:
                assert kinds[one] == kinds[other]


@pytest.mark.parametrize("kind", ["csv", "parquet", "folder"])
def test_a_column_of_the_data_set(tmp_path: Path, kind: str) -> None:
    names = [f"g{row // 3}" for row in range(40)]
    table = {"id": [f"made-{row}" for row in range(40)], "group of": names}
    if kind == "parquet":
        path = tmp_path / "t.parquet"
        pq.write_table(pa.table(table), path)
    else:
        lines = [",".join(cells) for cells in zip(*table.values(), strict=True)]
        path = tmp_path if kind == "folder" else tmp_path / "t.csv"
        write(path / "id_prop.csv" if kind == "folder" else path, "id,group of", *lines)
    source = dataclasses.replace(crystals_source())
    source.path = path
    kept = [row for row in range(40) if row != 7]  # that is quarantined
    data = dataclasses.replace(made_up_dataset("cgcnn", 39), rows=np.array(kept), total=40)
    dataset, _ = divided(tmp_path / "run", division_of("group of", None), data, source)
    assert dataset.folds is not None and dataset.folds.groups is not None
    _, expected = np.unique([names[row] for row in kept], return_inverse=True)
    assert np.array_equal(dataset.folds.groups, expected)
    other, _ = divided(tmp_path / "run", division_of("Group OF", None), data, source)
    assert other.folds is not None and np.array_equal(other.folds.groups, expected)
    with pytest.raises(UsageError, match="--groups grp: no such file, and salts has no column"):
        divided(tmp_path / "run", division_of("grp", None), data, source)


def test_a_column_that_is_not_there_is_told_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write(tmp_path / "t.csv", "id,cif,Batch,y", *(f"{row},x,b,{row}" for row in range(9)))
    run = tmp_path / "run"
    flags = ["--tasks", f"{table}:Y", "--run", str(run), "--groups", "bacth"]
    for more in ([], ["--dry-run"]):
        assert JOBS["hybrid_grid"].main([*flags, *more]) == 2
        told = capsys.readouterr().err
        assert "t has no column 'bacth' (did you mean 'Batch'?); it has id, cif" in told
        assert not [path for path in run.rglob("*") if path.suffix in (".parquet", ".json")]
    assert not ray.is_initialized()


def test_an_empty_cell_of_the_column_is_named(tmp_path: Path) -> None:
    lines = [f"{row},g{row // 3},x,{row}" for row in range(39)]
    source = CsvTable(write(tmp_path / "t.csv", "id,group,cif,y", *lines, "39,,x,1"), "y")
    with pytest.raises(UsageError, match="--groups group: salts: the cell of made-39 is empty"):
        divided(tmp_path / "run", division_of("group", None), crystals(), source)


def test_the_folds_of_matbench_are_its_own(tmp_path: Path) -> None:
    division = division_of("formula", None)
    with pytest.raises(UsageError, match="--groups formula: phonons is a MatBench task"):
        demand_own_folds(division, ["salts", "phonons"])
    with pytest.raises(UsageError, match="matbench_phonons is a MatBench task"):
        demand_own_folds(division, ["matbench_phonons"])
    with pytest.raises(UsageError, match="steels is a MatBench task"):
        open_data(parse_transfer(["--tasks", "steels", "--groups", "formula"]))
    demand_own_folds(None, ["phonons"])
    demand_own_folds(division, ["salts"])


# ------------------------------------------------------------------------------- unseen elements


def test_test_crystals_of_unseen_elements_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The only crystals of an element are those of one test part."""
    lines = [f"made-{row},{row % 5}" for row in range(40)]
    division = division_of(None, write(tmp_path / "s.csv", *lines))
    whole = crystals()
    z = whole.graphs.z.copy()
    for row in (2, 7):  # both tested in fold 2
        z[whole.graphs.node_ptr[row]] = 54
    strange = dataclasses.replace(whole, graphs=dataclasses.replace(whole.graphs, z=z))
    dataset, data = divided(tmp_path, division, strange)
    capsys.readouterr()
    for one in (dataset, dataclasses.replace(dataset, graphs=object())):
        say_unseen(range(5), 0, {("salts", "cgcnn"): one}, {"salts": data})
        assert capsys.readouterr().out == (
            "salts: 2 test crystals have an element that no training crystal of the fold has"
            " (fold 2: Xe)\n"
        )
    plain, data = divided(tmp_path / "plain", division, whole)
    capsys.readouterr()
    say_unseen(range(5), 0, {("salts", "cgcnn"): plain}, {"salts": data})
    assert capsys.readouterr().out == ""


# ------------------------------------------------------------------------------------- transfer


def formulas(path: Path, classes: bool = False) -> Path:
    lines = [
        f"x{n},Fe{n // 2 + 1}Si,{'yes' if classes and n % 4 < 2 else 'no' if classes else n / 7}"
        for n in range(60)
    ]
    return write(path, "id,formula,gap", *lines)


@pytest.mark.parametrize("groups", ["formula", "id"])
def test_formulas_are_divided_too(tmp_path: Path, groups: str) -> None:
    path = formulas(tmp_path / "gaps.csv")
    flags = ["--tasks", str(path), "--run", str(tmp_path / "run")]
    official = open_data(parse_transfer(flags))["gaps"]
    data = open_data(parse_transfer([*flags, "--groups", groups]))["gaps"]
    assert official.folds is None and data.folds is not None
    tests = [data.test_rows(fold) for fold in range(5)]
    assert sorted(np.concatenate(tests)) == list(range(60))
    names = data.formulas if groups == "formula" else data.ids
    for fold in range(5):
        split = data.split(fold, 0, 0.1)
        found = [set(names[rows]) for rows in (split.train, split.validation, split.test)]
        assert not found[0] & found[1] and not found[1] & found[2] and not found[0] & found[2]


def test_folds_of_formulas_are_in_the_key(tmp_path: Path) -> None:
    path = formulas(tmp_path / "gaps.csv")
    flags = ["--tasks", str(path)]
    plain = open_data(parse_transfer(flags))["gaps"]
    grouped = open_data(parse_transfer([*flags, "--groups", "formula"]))["gaps"]
    assert printed(plain) != printed(grouped)
    assert printed(plain) == printed(dataclasses.replace(grouped, folds=None))


def test_a_part_with_one_class_alone_is_refused(tmp_path: Path) -> None:
    path = formulas(tmp_path / "kinds.csv", classes=True)
    data = open_data(parse_transfer(["--tasks", str(path), "--groups", "formula"]))["kinds"]
    assert data.classes
    lines = [f"x{n},{0 if n % 4 < 2 and n < 20 else 1}" for n in range(60)]
    split = write(tmp_path / "s.csv", *lines)
    flags = ["--tasks", str(path), "--split", str(split), "--folds", "0"]
    with pytest.raises(UsageError, match="the test part of fold 0 has one class alone"):
        open_data(parse_transfer(flags))
    with pytest.raises(UsageError, match="the test part of fold 3 has no row"):
        open_data(parse_transfer([*flags[:-1], "3"]))


def test_what_stands_there_twice_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--tasks", str(formulas(tmp_path / "gaps.csv"))]
    open_data(parse_transfer(flags))
    said = capsys.readouterr().out
    assert "30 compositions stand in several rows, 30 with different targets (row 1: from 0" in said
    assert "--groups formula keeps each in one part of a fold" in said
    open_data(parse_transfer([*flags, "--groups", "formula"]))
    assert "several rows" not in capsys.readouterr().out
