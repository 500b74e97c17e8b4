"""Featurised data sets before training: damage, twins, sets that no model can come of. No Ray."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.model_selection import StratifiedKFold

from orchestrator.data.featurise import Featurised
from orchestrator.data.shard_writer import ShardWriter, WrittenShard
from orchestrator.data.streaming import ShardStream
from orchestrator.data.targets import class_names, classify, target_of
from orchestrator.element_scale import flags as scale_flags
from orchestrator.element_scale.job import open_relations
from orchestrator.grid.config import GridConfig
from orchestrator.grid.inputs import load_datasets, open_sources
from orchestrator.grid.parts import conditions_of
from orchestrator.grid.request import build_config
from orchestrator.hybrid_grid.flags import parse
from orchestrator.interface.errors import UsageError
from orchestrator.planning.sample import first
from tests.crystals.test_fuzz_sources import VALID
from tests.orchestrator.small_data import ENERGY
from tests.orchestrator.small_grids import embedded, rows, write_matbench
from trainables.crystals.registry import official_folds
from trainables.crystals.sources import Source, open_source
from trainables.crystals.targets import read_target
from trainables.models.backbones import BACKBONES
from trainables.representations import shards
from trainables.representations.dataset import Dataset, split_dataset
from trainables.representations.graph import Graphs
from trainables.representations.sizes import resident_bytes
from trainables.targets.base import Target
from trainables.testing.samples import made_up_dataset

NUMBERS = {"salts": ENERGY}


def config(**changes: object) -> GridConfig:
    return build_config("demo", {"backbones": ("cgcnn",), **changes})


def crystals(count: int) -> Dataset:
    return made_up_dataset("cgcnn", count)


def written(dataset: Dataset, folder: Path) -> Featurised:
    kind = BACKBONES["cgcnn"].representation.name
    writer = ShardWriter(folder / kind, Graphs)
    ids = dataset.ids.tolist()
    writer.add(shards.to_table(ids, dataset.rows, dataset.target, dataset.graphs))
    writer.close({"total": dataset.total, "bad": dataset.total - len(dataset)})
    fingerprint = json.loads((folder / kind / shards.MANIFEST).read_text())["fingerprint"]
    return Featurised({kind: folder / kind}, {kind: fingerprint}, len(ids), dataset.total, 0)


def refusal(featurised: dict[str, Featurised], grid: GridConfig, memory: float = math.inf) -> str:
    with pytest.raises(UsageError) as caught:
        conditions_of(
            grid, load_datasets(grid, featurised, dict.fromkeys(featurised, ENERGY), memory)
        )
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_what_was_written_is_loaded(tmp_path: Path) -> None:
    found = load_datasets(config(), {"salts": written(crystals(20), tmp_path)}, NUMBERS)
    assert list(found) == [("salts", "cgcnn")]
    np.testing.assert_array_equal(found["salts", "cgcnn"].target, crystals(20).target)


def test_what_is_over_the_memory_stays_in_its_shards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {"salts": written(crystals(20), tmp_path)}
    (folder,) = data["salts"].folders.values()
    listed = shards.listing(folder, Graphs)
    needed = sum(resident_bytes(Graphs, shard.rows) for shard in listed)
    assert isinstance(
        load_datasets(config(), data, NUMBERS, needed)["salts", "cgcnn"].graphs, Graphs
    )
    assert capsys.readouterr().out == ""
    found = load_datasets(config(), data, NUMBERS, needed - 1)["salts", "cgcnn"]
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("salts (cgcnn): ") and "streamed from its shards" in line
    whole = crystals(20)
    assert isinstance(found.graphs, ShardStream)
    assert found.graphs.edges == whole.graphs.edges
    assert found.graphs.shards[0].path.is_absolute(), "workers run in other folders"
    for name in ("target", "ids", "rows", "total"):
        assert np.array_equal(getattr(found, name), getattr(whole, name)), name


def test_what_is_streamed_is_checked_too(tmp_path: Path) -> None:
    target = np.arange(20) % 2.0
    data = written(dataclasses.replace(crystals(20), target=target), tmp_path)
    text = refusal({"salts": data}, config(), memory=1)
    assert text.startswith("salts: the target has two values, which are classes;")


@pytest.mark.parametrize("memory", [math.inf, 1])
@pytest.mark.parametrize("damage", ["flip", "gone", "manifest", "format"])
def test_damaged_shards_are_named(tmp_path: Path, damage: str, memory: float) -> None:
    data = written(crystals(20), tmp_path)
    (folder,) = data.folders.values()
    (shard,) = folder.glob("*.parquet")
    if damage == "flip":
        shard.write_bytes(b"x" + shard.read_bytes()[1:])
    elif damage == "gone":
        shard.unlink()
    else:
        manifest = folder / shards.MANIFEST
        text = manifest.read_text()
        manifest.write_text(text[:-9] if damage == "manifest" else text.replace("1", "9", 1))
    text = refusal({"salts": data}, config(), memory)
    assert str(folder) in text and f"remove {folder} to featurise again" in text


def test_too_few_crystals_are_refused(tmp_path: Path) -> None:
    text = refusal({"salts": written(crystals(9), tmp_path)}, config())
    assert text == "salts: 9 crystals; five folds need at least 10"
    assert load_datasets(config(), {"salts": written(crystals(10), tmp_path / "ten")}, NUMBERS)


def test_a_target_of_one_value_is_refused(tmp_path: Path) -> None:
    data = written(dataclasses.replace(crystals(20), target=np.full(20, 0.5)), tmp_path)
    text = refusal({"salts": data}, config())
    assert text.startswith("salts: the target has only the value 0.5,")
    assert "name another column" in text


def test_shards_of_before_classes_are_made_again(tmp_path: Path) -> None:
    target = np.arange(20) % 2.0
    data = written(dataclasses.replace(crystals(20), target=target), tmp_path)
    text = refusal({"salts": data}, config())
    assert text.startswith("salts: the target has two values")
    assert text.endswith(f"remove {tmp_path} to featurise again")


def classified(
    tmp_path: Path, cells: list[Any], rows_of_file: int = 30
) -> tuple[Source, Dataset, list[str]]:
    """A data set from a file whose targets are these cells; the second crystal is no crystal."""
    listed = [(one, cell) for (one, _), cell in zip(rows(rows_of_file), cells, strict=True)]
    listed[1] = ({"no": "crystal"}, listed[1][1])
    source = open_source(write_matbench(tmp_path / "mine.json.gz", listed))
    good = [row for row in range(rows_of_file) if row != 1]
    stated = dict(enumerate(entry.target for entry in source.entries()))
    target = np.array([read_target(stated[row]) for row in good])
    dataset = dataclasses.replace(
        first(made_up_dataset("cgcnn", rows_of_file), len(good)),
        target=target, rows=np.array(good), total=rows_of_file,
    )  # fmt: skip
    values = tuple(np.unique(target).tolist())
    data = Featurised({}, {}, len(good), rows_of_file, 1, values=values)
    found = classify({"mine": source}, {"mine": data}, {("mine", "cgcnn"): dataset})
    return source, found["mine", "cgcnn"], class_names(source, data)


RARE = [row % 3 == 1 for row in range(30)]
CELLS = {
    "booleans": (RARE, ["0", "1"]),
    "numbers": ([7.5 if rare else -2 for rare in RARE], ["-2", "7.5"]),
    "words": (["Metal" if rare else "insulator" for rare in RARE], ["insulator", "metal"]),
}


@pytest.mark.parametrize(("cells", "names"), CELLS.values(), ids=CELLS)
def test_two_values_are_classes_in_stratified_folds(
    tmp_path: Path, cells: list[Any], names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A quarantined row keeps its class, so that the others keep their official folds."""
    source, found, called = classified(tmp_path, cells)
    assert called == names
    assert capsys.readouterr().out == (f"mine: the target has two classes, {' and '.join(names)}\n")
    np.testing.assert_array_equal(found.target, np.delete(RARE, 1))
    official = list(StratifiedKFold(5, shuffle=True, random_state=18012019).split(RARE, RARE))
    for fold, (_, tested) in enumerate(official):
        split = split_dataset(found, fold, 0)
        assert found.rows[split.test].tolist() == [row for row in tested if row != 1]
        assert all(0 < found.target[rows].mean() < 1 for rows in vars(split).values())
    data = Featurised({}, {}, 29, 30, 1, values=(0.0, 1.0))
    assert target_of(source, data) == Target(name="energy", unit=None, kind="binary")


def test_a_part_of_one_class_is_refused(tmp_path: Path) -> None:
    _, found, _ = classified(tmp_path, [row == 4 for row in range(30)])
    with pytest.raises(
        UsageError, match=r"mine: of fold 0, all .* crystals are of one class; name"
    ):
        conditions_of(config(), {("mine", "cgcnn"): found})


@pytest.mark.parametrize(
    ("blocks", "known"),
    [([[2.0, 2.0]], [2]), ([[2.0], [0.5, 2.0]], [0.5, 2]), ([[2.0], [0.5, 3.0], [2.0]], [])],
)
def test_two_values_are_noticed_block_by_block(
    tmp_path: Path, blocks: list[list[float]], known: list[float]
) -> None:
    whole = crystals(12)
    writer = ShardWriter(tmp_path, Graphs)
    for number, values in enumerate(blocks):
        some = np.arange(len(values))
        graphs = whole.graphs.take(some)
        table = shards.to_table(["x"] * len(values), some, np.array(values), graphs)
        written = WrittenShard.write(tmp_path, number, table)
        writer.note(WrittenShard.decode(written.encode()))
    writer.close({})
    assert json.loads((tmp_path / shards.MANIFEST).read_text())["values"] == known


@pytest.mark.parametrize(
    "target", [1e9 + np.arange(20) / 1e3, np.arange(20) * 1e-47], ids=["near", "tiny"]
)
def test_a_target_that_single_precision_does_not_tell_apart(
    tmp_path: Path, target: np.ndarray
) -> None:
    data = written(dataclasses.replace(crystals(20), target=target), tmp_path)
    assert "single precision, in which models are trained" in refusal({"salts": data}, config())


def test_links_are_followed_where_the_flag_says_so(tmp_path: Path) -> None:
    (tmp_path / "salt.cif").write_text(VALID["cif"])
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "id_prop.csv").write_text("a,1\n")
    (folder / "a.cif").symlink_to(tmp_path / "salt.cif")
    for flags, form in (((), "bad"), (("--follow-links",), "cif")):
        options = parse(["--tasks", str(folder), *flags])
        sources = open_sources(options.config, None, follow_links=options.follow_links)
        assert [entry.format for entry in sources["mine"].entries()] == [form]
        scale = scale_flags.parse(["--mine", str(folder), *flags])
        relations = open_relations(scale)
        assert isinstance(relations, Source)
        assert [entry.format for entry in relations.entries()] == [form]


def test_a_few_bad_crystals_are_accepted_where_no_share_is_asked_for() -> None:
    assert parse(["--preset", "demo"]).config.accepted_bad is None
    assert parse(["--preset", "demo", "--max-bad", "0.01"]).config.accepted_bad == 0.01
    assert scale_flags.parse([]).max_bad is None


def test_the_same_data_twice_would_be_one_model_counted_twice(tmp_path: Path) -> None:
    data = written(crystals(20), tmp_path)
    text = refusal({"salts": data, "copy": data}, config())
    assert text.startswith("--tasks: salts and copy hold the same crystals and targets;")


def without(fold: int, parts: Sequence[int]) -> Dataset:
    """50 crystals of which quarantine has taken one part (0 train, 1 test) of a fold."""
    whole = made_up_dataset("cgcnn", 50)
    taken = official_folds(50)[fold][parts[0]]
    kept = np.setdiff1d(np.arange(50), taken)
    small = made_up_dataset("cgcnn", len(kept))
    return dataclasses.replace(small, rows=kept, total=whole.total)


@pytest.mark.parametrize(
    ("part", "words"), [(1, "0 test crystals"), (0, "0 training, 0 validation")]
)
def test_a_fold_that_quarantine_has_emptied_is_refused(
    tmp_path: Path, part: int, words: str
) -> None:
    data = {"salts": written(without(1, [part]), tmp_path)}
    text = refusal(data, config(folds=(0, 1)) if part else config(folds=(1,)))
    assert "of fold 1" in text and words in text and "name other --folds" in text
    if part:
        conditions_of(config(folds=(0, 2)), load_datasets(config(), data, NUMBERS))


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_matbench(tmp_path / folder / "same.json.gz", rows(12))
    specs = tuple(str(tmp_path / folder / "same.json.gz") for folder in ("a", "b"))
    with pytest.raises(UsageError, match="another data set is called same too; rename one"):
        open_sources(config(tasks=specs), None)


@pytest.mark.parametrize(
    ("length", "kind"),
    [(9, "dielectric"), (18, "piezo"), (27, "piezo"), (36, "elastic"), (81, "elastic"), (12, "")],
)
def test_lists_as_long_as_tensors_are_pointed_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], length: int, kind: str
) -> None:
    path = tmp_path / "made.parquet"
    structures = [entry.text for entry in embedded(3)]
    pq.write_table(pa.table({"structure": structures, "x": [[1.0] * length] * 3}), path)
    sources = open_sources(config(tasks=(f"{path}:x",)), None)
    assert sources["made"].cells.kind == "spectrum"
    note = (
        f"note: made: x is learned as a spectrum of {length} numbers; if they are a tensor, ask"
        f" for x@{kind}\n"
    )
    assert capsys.readouterr().err == (note if kind else "")
    if kind:
        asked = open_sources(config(tasks=(f"{path}:x@{kind}",)), None)
        assert asked["made"].cells.kind == kind
        assert capsys.readouterr().err == ""
