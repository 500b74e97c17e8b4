"""Workers write the shards: the files that remain, and what the driver receives. No Ray."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from orchestrator.data import entries, featurise
from orchestrator.data.featurise import Featurised, featurise_source, featurised_before
from orchestrator.data.shard_writer import ShardWriter, WrittenShard
from orchestrator.interface.errors import UsageError
from orchestrator.nodes.on_ray import OnRay
from orchestrator.runs import durable
from tests.crystals_for_tests import table_of
from tests.orchestrator.small_grids import rows, write_matbench
from trainables import checksum
from trainables.crystals.sources import Source, open_source
from trainables.models.backbones import BACKBONES, representations
from trainables.representations import shards
from trainables.representations.graph import Graphs
from trainables.testing.samples import made_up_dataset

KINDS = representations(BACKBONES)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, as the driver does with a few crystals."""
    monkeypatch.setattr(OnRay, "is_beside_workers", lambda place: True)
    monkeypatch.setattr(entries, "ROWS_PER_BLOCK", 8)


def source(folder: Path, *more: tuple[object, float]) -> Source:
    return open_source(write_matbench(folder / "some.json.gz", [*rows(20), *more]))


def made(source: Source, folder: Path, max_bad: float = 0.5) -> Featurised:
    return featurise_source(source, KINDS, folder, max_bad=max_bad, max_atoms=1000)


def table() -> pa.Table:
    return table_of(made_up_dataset("cgcnn", 6))


def test_a_block_is_a_shard_named_by_its_first_row(tmp_path: Path) -> None:
    found = made(source(tmp_path), tmp_path / "out" / "some")
    for folder in found.folders.values():
        names = sorted(path.name for path in folder.iterdir())
        assert [name[:9] for name in names[:3]] == ["00000000-", "00000008-", "00000016-"]
        assert names[3:] == [shards.MANIFEST]
        listed = json.loads((folder / shards.MANIFEST).read_text())["shards"]
        assert [shard["file"] for shard in listed] == names[:3]
        assert [shard["rows"] for shard in listed] == [8, 8, 4]


def test_the_fingerprint_is_that_of_the_whole_table(tmp_path: Path) -> None:
    found = made(source(tmp_path), tmp_path / "out" / "some")
    for kind in KINDS:
        data = shards.load(found.folders[kind.name], kind.columns)
        whole = shards.Fingerprint(kind.columns)
        whole.update(shards.row_digests(table_of(data)))
        assert found.fingerprints[kind.name] == whole.hexdigest()


def test_a_block_without_a_good_crystal_has_no_shard(tmp_path: Path) -> None:
    found = made(source(tmp_path, *[(None, 1.0)] * 12), tmp_path / "out" / "some")
    assert (found.crystals, found.total, found.bad) == (20, 32, 12)
    assert all(len(list(folder.glob("*.parquet"))) == 3 for folder in found.folders.values())


def test_what_a_worker_reports_is_read_back(tmp_path: Path) -> None:
    written = WrittenShard.write(tmp_path, 512, table())
    assert WrittenShard.decode(written.encode()) == written
    assert len(written.digests) == 6 * 32 and written.listed["rows"] == 6
    assert (tmp_path / written.listed["file"]).is_file()
    assert WrittenShard.write(tmp_path, 512, table()) == written, "a repeated task is another file"


def test_a_late_worker_writes_nothing_where_the_driver_has_given_up(tmp_path: Path) -> None:
    gone = tmp_path / ".some.0123456789abcdef.tmp" / "all-r4"
    with pytest.raises(FileNotFoundError, match=r"all-r4/00000000-\w+\.parquet"):
        WrittenShard.write(gone, 0, table())
    assert list(tmp_path.iterdir()) == []


def test_what_killed_workers_left_is_not_among_the_shards(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path / "all-r4", Graphs)
    writer.add(table())
    left = durable.name_draft(tmp_path / "all-r4" / "00000008-0123456789ab.parquet")
    left.write_bytes(b"half a sh")
    writer.close({"total": 6})
    assert not left.exists()
    assert len(shards.load(tmp_path / "all-r4", Graphs)) == 6


def test_a_full_disk_of_a_worker_is_an_error_of_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = WrittenShard.write

    def full(folder: Path, row: int, table: pa.Table) -> WrittenShard:
        if row:
            raise OSError(errno.ENOSPC, "No space left on device", str(folder / "x.parquet"))
        return write(folder, row, table)

    monkeypatch.setattr(WrittenShard, "write", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        made(source(tmp_path), tmp_path / "out" / "some")
    assert caught.value.errno == errno.ENOSPC and caught.value.filename.endswith("x.parquet")
    assert list((tmp_path / "out").iterdir()) == []


def test_too_many_bad_ones_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="4 of 24 crystals are bad"):
        made(source(tmp_path, *[(None, 1.0)] * 4), tmp_path / "out" / "some", max_bad=0.1)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_repeated_id_is_bad_whichever_block_has_the_first(tmp_path: Path) -> None:
    ids = [f"g{row}" for row in range(19)] + ["g2"]
    path = write_matbench(tmp_path / "some.json.gz", rows(20), ids)
    found = made(open_source(path), tmp_path / "out" / "some")
    assert (found.crystals, found.bad) == (19, 1)
    text = (tmp_path / "out" / "some" / featurise.QUARANTINE).read_text()
    assert "duplicate id: first seen in row 3" in text
    assert shards.load(found.folders["all-r4"], Graphs).ids.tolist() == ids[:19]


def test_shards_of_the_former_format_are_read_and_made_again(tmp_path: Path) -> None:
    """Their tables are the same, and their fingerprints are not."""
    crystals, folder = source(tmp_path), tmp_path / "out" / "some"
    found = made(crystals, folder)
    assert featurised_before(crystals, KINDS, folder, max_atoms=1000) == found
    data = shards.load(found.folders["all-r4"], Graphs)
    for place in found.folders.values():
        path = place / shards.MANIFEST
        manifest = json.loads(path.read_text()) | {"format": 1, "fingerprint": "former"}
        del manifest["digest"]
        path.write_text(json.dumps(checksum.add(manifest)))
    assert np.array_equal(shards.load(found.folders["all-r4"], Graphs).target, data.target)
    assert featurised_before(crystals, KINDS, folder, max_atoms=1000) is None
    assert made(crystals, folder) == found
