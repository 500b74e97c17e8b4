"""The job and its workers on disks that are full or read-only; the same command ends it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from orchestrator.runs import checkpoints
from orchestrator.runs.durable import remove_leftovers
from orchestrator.runs.records import Records
from tests.orchestrator.small_disks import small_disk
from tests.orchestrator.small_grids import grid, rows, write_matbench
from tests.orchestrator.test_trials import finished_rows, small_array, trial_of

pytestmark = pytest.mark.usefixtures("ray_cluster")


def flags(tmp_path: Path, run: Path, epochs: int = 2) -> list[str]:
    """Eight models in four arrays."""
    data = write_matbench(tmp_path / "tiny.json.gz", rows(36))
    return [
        *("--tasks", str(data), "--run", str(run), "--dims", "4", "8", "--mixing", "H", "L"),
        *("--folds", "0", "1", "--backbones", "cgcnn", "--epochs", str(epochs)),
    ]


def statuses(run: Path) -> list[str]:
    return list(pd.read_parquet(run / "ledger.parquet")["status"])


def test_a_full_disk_ends_the_job_in_one_line_and_room_lets_it_go_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = flags(tmp_path, run)
    with small_disk(run / "shards", "8k") as shards, small_disk(run / "records", "200k") as disk:
        said = grid(*command)
        assert said.code == 2 and not list(shards.folder.iterdir())
        assert said.error.startswith(f"error: {shards.folder}/")
        assert "No space left on device; the same command goes on" in said.error

        assert shards.option("size=4m")
        said = grid(*command)
        assert said.code == 2 and "Traceback" not in said.err
        last = said.err.splitlines()[-1]
        assert last.startswith(f"error: {disk.folder}/") and "No space left on device" in last
        assert "what is recorded stays" in last and "run the same command again" in last
        recorded = {path.stem for path in disk.folder.glob("*.json")}
        assert not Records(disk.folder).damage(recorded) and 0 < len(recorded) < 8
        assert not list(disk.folder.glob(".*.tmp"))

        assert disk.option("size=8m")
        said = grid(*command)
        assert said.code == 0
        assert f"8 models in the grid, {len(recorded)} recorded before" in said.out
        assert statuses(run) == ["done"] * 8


def test_a_disk_that_becomes_read_only_ends_the_job_in_one_line(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = flags(tmp_path, run, epochs=60)
    with small_disk(run / "records", "8m") as disk:
        refused = threading.Event()

        def refuse_after_the_first() -> None:
            while not list(disk.folder.glob("*.json")) or not disk.option("ro"):
                time.sleep(0.01)
            refused.set()

        threading.Thread(target=refuse_after_the_first, daemon=True).start()
        said = grid(*command)
        assert refused.is_set() and said.code == 2 and "Traceback" not in said.err
        last = said.err.splitlines()[-1]
        assert last.startswith(f"error: {disk.folder}/") and "Read-only file system" in last
        recorded = {path.stem for path in disk.folder.glob("*.json")}
        assert 0 < len(recorded) < 8
        assert disk.option("rw")
        said = grid(*command)
        assert said.code == 0 and f"{len(recorded)} recorded before" in said.out
        assert statuses(run) == ["done"] * 8


def test_a_snapshot_that_cannot_be_written_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", 1e9)
    with small_disk(tmp_path / checkpoints.FOLDER, "4k") as disk:
        trial = trial_of(small_array(epochs=4), tmp_path)
        report = trial.step()
        assert report["unsaved"].startswith(f"{disk.folder}/")
        assert report["unsaved"].endswith(".snapshot: No space left on device")
        assert report["disk"] == "" and report["done"]
        assert {row["status"] for row in report["finished"]} == {"done"}
        assert not list(disk.folder.iterdir())


def test_a_late_worker_whose_file_is_taken_away_records_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next driver clears leftovers away; the model of a worker it fences has not failed."""
    write, records = Records._draft, Records(tmp_path / "records")

    def swept(self: Records, *record: object) -> object:
        drafts = write(self, *record)  # type: ignore[arg-type]
        remove_leftovers(tmp_path)
        return drafts

    array = small_array(epochs=2)
    late = trial_of(array, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Records, "_draft", swept)
        report = late.step()
    assert report["done"] and "No such file or directory" in report["disk"]
    assert not records.recorded(array.keys.values())
    rows_ = finished_rows(trial_of(array, tmp_path))
    assert {row["status"] for row in rows_} == {"done"} and len(rows_) == 2
