"""SIGKILL of driver, worker, featuriser and summing actor, before and after each write."""

from __future__ import annotations

import re
import signal
import time

import pytest

from tests.faults.checker import check
from tests.faults.conftest import GOLDEN
from tests.faults.site import Event, Site

KILLED = -signal.SIGKILL
RANDOM = re.compile(r"\.[0-9a-f]{16}\.tmp$|\.tiny\.\w{16}\.tmp(?=/|$)|(?<=\d{8}-)[0-9a-f]{12}")
KEY = re.compile(r"(?<=/\.)[0-9a-f]{24}|(?<=/)[0-9a-f]{24}")
TABLE = re.compile(r"Mat2Vec-[SHL]-\d+")


def points(site: Site, role: str) -> list[tuple[str, str]]:
    """(event, pattern of the file) of the golden run's writes, by role, each kind of file once.

    The points are before a file is opened, before it is renamed (when it is written), and after
    that (when the folder is opened to be synced).
    """
    found: list[tuple[str, str]] = []
    golden = str(site.runs / GOLDEN)
    for event in site.events():
        if event.role == role and event.about.startswith(golden):
            found.append((event.name, _pattern(site, event)))
    return list(dict.fromkeys(found))


def _pattern(site: Site, event: Event) -> str:
    about = event.about.removeprefix(str(site.runs / GOLDEN))
    about = RANDOM.sub(lambda match: _like(match.group()), about)
    return TABLE.sub("Mat2Vec-*", KEY.sub("*", about))


def _like(random: str) -> str:
    if random.startswith(".tiny"):
        return ".tiny.*.tmp"
    return ".*.tmp" if random.endswith(".tmp") else "*"


@pytest.mark.faults
def test_a_driver_that_is_killed_anywhere(
    site: Site, record_property: pytest.RecordProperty
) -> None:
    """Kills the driver of one run directory at each point; the next one continues from there."""
    run, since, killed = "driver", time.time(), []
    for event, pattern in points(site, "driver"):
        site.arm(event, f"{site.runs / run}{pattern}", role="driver")
        ended = site.drive(site.flags(run))
        if not site.disarm():
            assert ended.code == KILLED, ended.err
            killed.append(ended)
        else:  # the file of this point exists already
            assert ended.code == 0, ended.err
    assert killed
    check(site, run, GOLDEN, since, *killed, site.drive(site.flags(run)))
    record_property("seen", f"{len(killed)} drivers killed, each at another point")


WORKER_POINTS = {
    "before the lock": ("open", "/records/.lock"),
    "before the arrays": ("open", "/records/.*.safetensors.*.tmp"),
    "before the row": ("open", "/records/.*.json.*.tmp"),
    "before the arrays have their name": ("os.rename", "/records/*.safetensors"),
    "between arrays and row": ("os.link", "/records/*.json"),
    "before the draft of the row is gone": ("os.remove", "/records/.*.json.*.tmp"),
    "before the folder is synced": ("open", "/records"),
    "before a snapshot": ("open", "/checkpoints/.*.snapshot.*.tmp"),
    "before a snapshot has its name": ("os.rename", "/checkpoints/*.snapshot"),
    "before the folder of snapshots is synced": ("open", "/checkpoints"),
    "before the snapshot is gone": ("os.remove", "/checkpoints/*.snapshot"),
}
SHARD_POINTS = {
    "before a shard": ("open", "/shards/.tiny.*.tmp/nn12-r8/.00000000-*.parquet.*.tmp"),
    "before a shard has its name": ("os.rename", "/shards/.tiny.*.tmp/nn12-r8/00000000-*.parquet"),
}
IN_EVERY_TEST_RUN = "between arrays and row"


def test_a_worker_passes_these_points_and_no_other(site: Site) -> None:
    known = {*WORKER_POINTS.values(), *SHARD_POINTS.values()}
    assert set(points(site, "worker")) == known


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(point, marks=() if point == IN_EVERY_TEST_RUN else pytest.mark.faults)
        for point in WORKER_POINTS
    ],
)
def test_a_worker_that_is_killed_anywhere(site: Site, point: str) -> None:
    """Another worker trains its array, but not the models that were recorded."""
    name, pattern = WORKER_POINTS[point]
    run, since = point.replace(" ", "-"), time.time()
    site.arm(name, f"{site.runs / run}{pattern}", role="worker")
    ended = site.drive(site.flags(run))
    assert not site.disarm(), "the point was not reached"
    assert ended.err.count("its worker died; it begins again") == 1
    check(site, run, GOLDEN, since, ended)


@pytest.mark.faults
@pytest.mark.parametrize("point", SHARD_POINTS)
def test_a_worker_that_is_killed_at_a_shard(site: Site, point: str) -> None:
    """Another one writes it, under the same name; nothing of the first is among the shards."""
    name, pattern = SHARD_POINTS[point]
    run, since = point.replace(" ", "-"), time.time()
    site.arm(name, f"{site.runs / run}{pattern}", role="worker")
    ended = site.drive(site.flags(run))
    assert not site.disarm(), "the point was not reached"
    check(site, run, GOLDEN, since, ended)
    names = {path.name for path in (site.runs / run / "shards" / "tiny").rglob("*.*")}
    assert not [name for name in names if name.endswith(".tmp")]


@pytest.mark.faults
@pytest.mark.parametrize("mark", ["elemgrid.map", "elemgrid.featurise", "elemgrid.train"])
def test_whoever_dies_at_its_work_is_replaced(site: Site, mark: str) -> None:
    """Kills a featurising task, an actor that sums distances, a worker that starts a training."""
    run, since = mark, time.time()
    site.arm(mark, "*", role="worker")
    ended = site.drive(site.flags(run))
    assert not site.disarm(), "the point was not reached"
    check(site, run, GOLDEN, since, ended)
