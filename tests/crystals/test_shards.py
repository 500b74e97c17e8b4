"""Shards: round trip, fingerprint, damage."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.crystals_for_tests import table_of, write_shards
from trainables import checksum
from trainables.models.backbones import BACKBONES
from trainables.representations import shards
from trainables.representations.dataset import Dataset
from trainables.representations.graph import Graphs
from trainables.representations.quotient import quotient
from trainables.testing.crystals import named_crystals
from trainables.testing.samples import graphs_of, made_up_dataset

SCHEMA = shards.schema(Graphs)


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
    assert table.schema == SCHEMA
    assert_same(shards.from_table(table, Graphs, 40), data)
    back = pq.read_table(io.BytesIO(shards.encode(table)))
    assert back.schema.equals(SCHEMA)
    assert_same(shards.from_table(back, Graphs, 40), data)


def test_the_same_crystals_are_the_same_bytes() -> None:
    assert shards.encode(table_of(dataset())) == shards.encode(table_of(dataset()))


@pytest.mark.parametrize("cuts", [1, 2, 7])
def test_loading_puts_the_shards_together(tmp_path: Path, cuts: int) -> None:
    write_shards(tmp_path, dataset(), cuts)
    assert_same(shards.load(tmp_path, Graphs), dataset())


def test_a_folder_of_no_crystals_is_an_empty_data_set(tmp_path: Path) -> None:
    manifest = {"format": shards.FORMAT_VERSION, "shards": [], "total": 3}
    (tmp_path / shards.MANIFEST).write_text(json.dumps(checksum.add(manifest)))
    loaded = shards.load(tmp_path, Graphs)
    assert (len(loaded), len(loaded.graphs), loaded.total) == (0, 0, 3)


def fingerprint(*tables: pa.Table) -> str:
    found = shards.Fingerprint(Graphs)
    for table in tables:
        found.update(shards.row_digests(table))
    return found.hexdigest()


@pytest.mark.parametrize("cuts", [2, 3, 7])
def test_fingerprint_does_not_know_the_cuts(cuts: int) -> None:
    table = table_of(dataset())
    parts = [table.slice(r[0], len(r)) for r in np.array_split(np.arange(len(table)), cuts)]
    assert fingerprint(*parts) == fingerprint(table)
    assert fingerprint(pa.concat_tables(parts)) == fingerprint(table)


@pytest.mark.parametrize("column", SCHEMA.names)
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
    path = write_shards(tmp_path, made_up_dataset("cgcnn", 24), 3)[1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(shards.ShardError, match=r"0001\.parquet: damaged .* to featurise again$"):
        shards.load(tmp_path, Graphs)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    write_shards(tmp_path, dataset(), 3)[2].unlink()
    with pytest.raises(shards.ShardError, match=r"0002\.parquet: missing; remove"):
        shards.load(tmp_path, Graphs)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null"])
def test_a_damaged_manifest_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / shards.MANIFEST).write_text(content)
    with pytest.raises(shards.ShardError, match=r"manifest\.json: damaged; remove"):
        shards.load(tmp_path, Graphs)


def test_a_missing_manifest_and_another_format_are_named(tmp_path: Path) -> None:
    with pytest.raises(shards.ShardError, match=r"manifest\.json: missing"):
        shards.load(tmp_path, Graphs)
    (tmp_path / shards.MANIFEST).write_text('{"format": 99, "shards": []}')
    with pytest.raises(shards.ShardError, match="format 99, this version reads 1 and 2"):
        shards.load(tmp_path, Graphs)


class Elsewhere:
    """Stands for graphs that stay in the shards."""

    edges = 7

    def in_order(self, parts: Sequence[np.ndarray]) -> Iterator[Graphs]:
        raise AssertionError("no graph was asked for")


@pytest.mark.parametrize("cuts", [1, 7])
def test_what_is_small_is_loaded_without_the_graphs(tmp_path: Path, cuts: int) -> None:
    write_shards(tmp_path, dataset(), cuts)
    found = shards.load_without_graphs(tmp_path, Elsewhere())
    assert found.graphs.edges == 7
    for name in ("target", "ids", "rows", "total"):
        assert np.array_equal(getattr(found, name), getattr(dataset(), name)), name


def test_without_the_graphs_a_damaged_shard_is_named_too(tmp_path: Path) -> None:
    path = write_shards(tmp_path, made_up_dataset("cgcnn", 24), 3)[1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(shards.ShardError, match=r"0001\.parquet: damaged .* to featurise again$"):
        shards.load_without_graphs(tmp_path, Elsewhere())


@pytest.mark.parametrize("cuts", [1, 7])
def test_footers_tell_the_sizes(tmp_path: Path, cuts: int) -> None:
    data = dataset()
    paths = write_shards(tmp_path, data, cuts)
    found = shards.listing(tmp_path, Graphs)
    lonely = int((np.diff(data.graphs.edge_ptr) == 0).sum())
    assert lonely > 0
    assert [shard.path for shard in found] == paths
    assert sum(shard.crystals for shard in found) == len(data)
    assert sum(shard.nodes for shard in found) == len(data.graphs.z)
    assert sum(shard.edges for shard in found) == data.graphs.edges + lonely
    tables = [shards.read_graphs(shard, np.arange(shard.crystals)) for shard in found]
    decoded = sum(column.nbytes for table in tables for column in table.columns)
    assert sum(shard.nbytes for shard in found) == pytest.approx(decoded, rel=0.02)


@pytest.mark.parametrize(
    ("damage", "words"), [("cut", "damaged"), ("turned", "damaged"), ("gone", "missing")]
)
def test_a_shard_without_a_footer_is_named(tmp_path: Path, damage: str, words: str) -> None:
    path = write_shards(tmp_path, dataset(), 3)[1]
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    elif damage == "turned":  # a column's name in the footer, which has no checksum
        path.write_bytes(path.read_bytes().replace(b"distance", b"distanco"))
    else:
        path.unlink()
    with pytest.raises(shards.ShardError, match=rf"0001\.parquet: {words}.*; remove"):
        shards.listing(tmp_path, Graphs)


def test_chosen_crystals_come_in_the_order_asked_for(tmp_path: Path) -> None:
    data = dataset()
    write_shards(tmp_path, data, 1)
    (shard,) = shards.listing(tmp_path, Graphs)
    chosen = np.array([5, 0, 3])
    wanted = table_of(data).take(chosen).select(shards.names(Graphs))
    assert shards.read_graphs(shard, chosen).equals(wanted)
