"""Snapshots of trainings that are damaged while nobody works in the run."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.faults.checker import at_work, check
from tests.faults.conftest import GOLDEN
from tests.faults.site import Site, wait_until

pytestmark = pytest.mark.faults


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def left_by_a_killed_driver(site: Site, run: str) -> list[Path]:
    """Its newest snapshots, one of each of its two arrays; checks how it ended."""
    for _ in range(2):
        site.arm("open", f"{site.runs / run}/checkpoints", how="hold", role="worker")
    driver = site.start(site.flags(run))
    wait_until(lambda: site.struck() == 2, "a snapshot of each array", 240)
    driver.process.kill()
    assert driver.end().code == -signal.SIGKILL
    site.release()
    wait_until(lambda: not at_work(site), "the end of its workers")
    return sorted((site.runs / run / "checkpoints").glob("*.snapshot"))


def test_the_newest_ones_are_cut_and_flipped(site: Site) -> None:
    """Damaged snapshots are not used or reported, and their arrays start again."""
    run, since = "snapshots", time.time()
    found = left_by_a_killed_driver(site, run)
    assert len(found) == 2
    for path, damage in zip(found, (half, flipped), strict=True):
        path.write_bytes(damage(path.read_bytes()))
    begun = site.begun(since)
    ended = site.drive(site.flags(run))
    assert site.begun(since) == begun + 2
    check(site, run, GOLDEN, since, ended)


def test_whole_ones_are_gone_on_from(site: Site) -> None:
    """The test above needs snapshots that matter."""
    run, since = "whole", time.time()
    assert len(left_by_a_killed_driver(site, run)) == 2
    check(site, run, GOLDEN, since, site.drive(site.flags(run)))
