"""Nodes that disappear, with or without warning, including the head, and one out of memory."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from orchestrator.interface.job import SOME_FAILED, USAGE
from orchestrator.runs.records import FAILED, Records
from tests.faults.checker import check, keys
from tests.faults.conftest import GOLDEN
from tests.faults.site import Site, watched

pytestmark = pytest.mark.faults
RAY = Path(sys.executable).with_name("ray")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose cluster each test makes; with a golden run."""
    site = Site.make(tmp_path_factory.mktemp("own"))
    with site.cluster():
        assert site.drive(site.flags(GOLDEN)).code == 0
    yield site
    site.clean()


def test_a_node_that_is_gone(own: Site) -> None:
    """Its training continues elsewhere, and no model is blamed."""
    run, since = "gone", time.time()
    for _ in range(2):
        own.arm("elemgrid.train", "*", how="hold")
    with own.cluster(num_cpus=1):
        own.replace_node()
        driver = own.start(own.flags(run))
        own.until_training(since, 2)
        own.remove_node()
        own.release()
        ended = driver.end(300)
        assert "its worker died; it begins again" in ended.err
        check(own, run, GOLDEN, since, ended)


@contextlib.contextmanager
def blocking_node(site: Site) -> Iterator[subprocess.Popen[bytes]]:
    """`ray start --block`, as a batch system runs it."""
    process = subprocess.Popen(
        [str(RAY), "start", "--address", str(site.address), "--block", "--num-cpus", "1"],
        env=site.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def test_a_node_that_is_told_to_end(own: Site) -> None:
    """SIGTERM, as a batch system or a spot instance receives it."""
    run, since = "told", time.time()
    for _ in range(2):
        own.arm("elemgrid.train", "*", how="hold")
    with own.cluster(num_cpus=1), blocking_node(own) as node:
        driver = own.start(own.flags(run))
        own.until_training(since, 2)
        node.send_signal(signal.SIGTERM)
        node.wait(60)
        own.release()
        check(own, run, GOLDEN, since, driver.end(300))


def test_the_head_is_killed(own: Site) -> None:
    """The cluster ends with its head; on a new one the same command continues."""
    run, since = "head", time.time()
    with own.cluster() as cluster:
        own.arm("elemgrid.train", "*", how="hold")
        driver = own.start(own.flags(run))
        own.until_training(since, 2)
        cluster.remove_node(cluster.head_node, allow_graceful=False)
        lost = driver.end(300)
        own.release()
    assert lost.code == USAGE, lost.err
    with own.cluster():
        check(own, run, GOLDEN, since, lost, own.drive(own.flags(run)))


def test_a_model_that_eats_memory(own: Site) -> None:
    """Ray kills its worker each time; its array is recorded as failed, and the others are done.

    Ray also kills the worker of the array next to it, which is not to blame.
    """
    run, since = "eating", time.time()
    hungry = sorted(keys(own.runs / GOLDEN))[0]
    memory = psutil.virtual_memory()
    used = (memory.total - memory.available + 3 * 2**30) / memory.total
    if used > 0.9:
        pytest.skip("not enough memory is free for a process that takes 3 GiB")
    environment = {
        "RAY_memory_usage_threshold": f"{used:.3f}",
        "RAY_memory_monitor_refresh_ms": "50",
    }
    with watched(environment), own.cluster():
        own.arm("elemgrid.train", f"*{hungry}*", how="eat", always=True, gib="8")
        failed = own.drive(own.flags(run), 600)
        own.disarm()
    assert failed.code == SOME_FAILED, failed.err
    assert "its worker died 4 times, most likely of memory" in failed.err
    assert "stopped as a node ran out of memory; it begins again, alone" in failed.err
    begun = (event for event in own.events(since) if event.name == "elemgrid.train")
    tries = [event.about for event in begun if hungry in event.about]
    assert len(tries) == 4
    records = Records(own.runs / run / "records")
    of_its_array = {key for key in keys(own.runs / run) if records.read(key)["status"] == FAILED}
    assert of_its_array == set(tries[0].split())
    with own.cluster():
        check(own, run, GOLDEN, since, failed, own.drive(own.flags(run, "--retry-failed")))
