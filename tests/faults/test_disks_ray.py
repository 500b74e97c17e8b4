"""Disks that are full or read-only under records and shards; the same command ends the run."""

from __future__ import annotations

import time

import pytest

from orchestrator.interface.job import USAGE
from orchestrator.runs.records import Records
from tests.faults.checker import check, keys
from tests.faults.conftest import GOLDEN
from tests.faults.site import Site, wait_until
from tests.orchestrator.small_disks import small_disk

pytestmark = pytest.mark.faults


def test_full_disks_end_the_job_and_room_lets_it_go_on(site: Site) -> None:
    run, since = "full", time.time()
    folder = site.runs / run
    with (
        small_disk(folder / "shards", "8k") as shards,
        small_disk(folder / "records", "60k") as disk,
    ):
        first = site.drive(site.flags(run))
        assert first.code == USAGE and not list(shards.folder.iterdir())
        assert first.last.startswith(f"error: {shards.folder}/")
        assert "No space left on device; the same command goes on" in first.last

        assert shards.option("size=4m")
        second = site.drive(site.flags(run))
        assert second.code == USAGE
        assert second.last.startswith(f"error: {disk.folder}/")
        assert "No space left on device; what is recorded stays" in second.last
        assert "run the same command again" in second.last
        recorded = keys(folder)
        assert not Records(disk.folder).damage(recorded) and 0 < len(recorded) < 4
        assert not list(disk.folder.glob(".*.tmp"))

        assert disk.option("size=8m")
        last = site.drive(site.flags(run))
        assert f"4 models, {len(recorded)} recorded before" in last.out
        check(site, run, GOLDEN, since, first, second, last)


def test_a_disk_that_becomes_read_only(site: Site) -> None:
    """When each array has one record, and one model in training."""
    run, since = "read-only", time.time()
    folder = site.runs / run
    for _ in range(2):
        site.arm("open", f"{folder}/checkpoints", how="hold", role="worker")
    with small_disk(folder / "records", "8m") as disk:
        driver = site.start(site.flags(run))
        wait_until(lambda: site.struck() == 2, "a record of each array", 240)
        assert disk.option("ro")
        site.release()
        ended = driver.end()
        assert ended.code == USAGE, ended.err
        assert ended.last.startswith(f"error: {disk.folder}/")
        assert "Read-only file system" in ended.last
        assert len(keys(folder)) == 2
        assert disk.option("rw")
        last = site.drive(site.flags(run))
        assert "4 models, 2 recorded before" in last.out
        check(site, run, GOLDEN, since, ended, last)
