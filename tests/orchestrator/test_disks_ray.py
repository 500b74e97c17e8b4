"""A worker on a full disk, or without its file. Whole runs: tests/faults/test_disks_ray.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.runs import checkpoints
from orchestrator.runs.ownership import sweep
from orchestrator.runs.records import Records
from orchestrator.training import trials
from tests.orchestrator.small_disks import small_disk
from tests.orchestrator.test_trials_ray import finished_rows, small_array, trial_of

pytestmark = pytest.mark.usefixtures("ray_cluster")


def test_a_snapshot_that_cannot_be_written_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", 1e9)
    monkeypatch.setattr(trials, "SECONDS_PER_REPORT", 60.0)  # also on a machine that is busy
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
        sweep(tmp_path)
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
