"""Shards: round trip, fingerprint, damage."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.crystals_for_tests import BACKBONES, graphs_of, made_up_dataset, named_crystals
from trainables.crystals import shards
from trainables.crystals.dataset import Dataset
from trainables.crystals.graph import Graphs
from trainables.crystals.quotient import quotient


def dataset(backbone: str = "megnet") -> Dataset:
    """Named crystals, one of them without edges; some rows of the source are missing."""
    crystals = named_crystals()
    return Dataset(
        graphs=quotient(graphs_of(list(crystals.values()), backbone)),
        target=np.linspace(-1, 2, len(crystals)),
        ids=np.array(list(crystals)),
        rows=np.arange(len(crystals)) * 3 + 1,
        total=40,
    )


def table_of(data: Dataset) -> pa.Table:
    return shards.to_table(data.ids.tolist(), data.rows, data.target, data.graphs)


def write(folder: Path, table: pa.Table, cuts: int) -> list[Path]:
    paths, entries = [], []
    for number, rows in enumerate(np.array_split(np.arange(len(table)), cuts)):
        content = shards.encode(table.slice(rows[0], len(rows)))
        paths.append(folder / f"{number:04d}.parquet")
        paths[-1].write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        entries.append({"file": paths[-1].name, "sha256": digest, "rows": len(rows)})
    manifest = {"format": shards.FORMAT_VERSION, "shards": entries, "total": 40}
    (folder / shards.MANIFEST).write_text(json.dumps(manifest))
    return paths


def assert_same(a: Dataset, b: Dataset) -> None:
    for column in dataclasses.fields(Graphs):
        one, other = getattr(a.graphs, column.name), getattr(b.graphs, column.name)
        assert np.array_equal(one, other), column.name
    for name in ("target", "ids", "rows", "total"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


@pytest.mark.parametrize("backbone", BACKBONES)
def test_round_trip(backbone: str) -> None:
    data = dataset(backbone)
    table = table_of(data)
    assert table.schema == shards.SCHEMA
    assert_same(shards.from_table(table, 40), data)
    back = pq.read_table(io.BytesIO(shards.encode(table)))
    assert back.schema.equals(shards.SCHEMA)
    assert_same(shards.from_table(back, 40), data)


def test_the_same_crystals_are_the_same_bytes() -> None:
    assert shards.encode(table_of(dataset())) == shards.encode(table_of(dataset()))


@pytest.mark.parametrize("cuts", [1, 2, 7])
def test_loading_puts_the_shards_together(tmp_path: Path, cuts: int) -> None:
    write(tmp_path, table_of(dataset()), cuts)
    assert_same(shards.load(tmp_path), dataset())


def test_a_folder_of_no_crystals_is_an_empty_data_set(tmp_path: Path) -> None:
    manifest = {"format": shards.FORMAT_VERSION, "shards": [], "total": 3}
    (tmp_path / shards.MANIFEST).write_text(json.dumps(manifest))
    loaded = shards.load(tmp_path)
    assert (len(loaded), len(loaded.graphs), loaded.total) == (0, 0, 3)


def fingerprint(*tables: pa.Table) -> str:
    found = shards.Fingerprint()
    for table in tables:
        found.update(table)
    return found.hexdigest()


@pytest.mark.parametrize("cuts", [2, 3, 7])
def test_fingerprint_does_not_know_the_cuts(cuts: int) -> None:
    table = table_of(dataset())
    parts = [table.slice(r[0], len(r)) for r in np.array_split(np.arange(len(table)), cuts)]
    assert fingerprint(*parts) == fingerprint(table)
    assert fingerprint(pa.concat_tables(parts)) == fingerprint(table)


@pytest.mark.parametrize("column", shards.SCHEMA.names)
def test_fingerprint_knows_every_number(column: str) -> None:
    data = dataset()
    if column == "id":
        ids = data.ids.tolist()
        changed = dataclasses.replace(data, ids=np.array([*ids[:-1], ids[-1] + "!"]))
    elif column == "row":
        changed = dataclasses.replace(data, rows=data.rows + (np.arange(len(data)) == 4))
    elif column == "target":
        target = data.target.copy()
        target[3] = np.nextafter(target[3], 9)
        changed = dataclasses.replace(data, target=target)
    else:
        values = getattr(data.graphs, column).copy()
        values[-1] += 1
        graphs = dataclasses.replace(data.graphs, **{column: values})
        changed = dataclasses.replace(data, graphs=graphs)
    assert fingerprint(table_of(changed)) != fingerprint(table_of(data))


def test_fingerprint_knows_where_one_crystal_ends() -> None:
    data = dataset()
    moved = data.graphs.node_ptr.copy()
    moved[4] += 1
    graphs = dataclasses.replace(data.graphs, node_ptr=moved)
    changed = dataclasses.replace(data, graphs=graphs)
    assert fingerprint(table_of(changed)) != fingerprint(table_of(data))
    merged = dataclasses.replace(data, ids=np.array(["NaClC", "u", *data.ids[2:]]))
    assert fingerprint(table_of(merged)) != fingerprint(table_of(data))


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, table_of(made_up_dataset("cgcnn", 24)), 3)[1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(shards.ShardError, match=r"0001\.parquet: damaged .* to featurise again$"):
        shards.load(tmp_path)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    write(tmp_path, table_of(dataset()), 3)[2].unlink()
    with pytest.raises(shards.ShardError, match=r"0002\.parquet: missing; remove"):
        shards.load(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null"])
def test_a_damaged_manifest_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / shards.MANIFEST).write_text(content)
    with pytest.raises(shards.ShardError, match=r"manifest\.json: damaged; remove"):
        shards.load(tmp_path)


def test_a_missing_manifest_and_another_format_are_named(tmp_path: Path) -> None:
    with pytest.raises(shards.ShardError, match=r"manifest\.json: missing"):
        shards.load(tmp_path)
    (tmp_path / shards.MANIFEST).write_text('{"format": 99, "shards": []}')
    with pytest.raises(shards.ShardError, match="format 99, this version reads 1"):
        shards.load(tmp_path)
