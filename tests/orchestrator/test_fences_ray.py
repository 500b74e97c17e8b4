"""Drivers and workers that live on when another one has the run: what they make does no harm."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import ray

from tests.faults.checker import trainers_alive
from tests.orchestrator.small_grids import digests, grid, rows, write_matbench
from tests.orchestrator.test_interrupt_ray import Driver, long_array, recorded


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Driver]]:
    started: list[Driver] = []

    def begin(arguments: list[str]) -> Driver:
        cluster = ["--address", ray.get_runtime_context().gcs_address]
        started.append(Driver([*arguments, *cluster], tmp_path / f"driver{len(started)}.log"))
        return started[-1]

    yield begin
    for driver in started:
        driver.clean()


def test_a_driver_whose_lock_was_removed_ends_and_records_nothing(
    tmp_path: Path, start: Callable[..., Driver], ray_cluster: object
) -> None:
    """A second one begins; each model has one record, which is the second one's."""
    data, run = write_matbench(tmp_path / "tiny.json.gz", rows(36)), tmp_path / "run"
    first = start(long_array(data, run, epochs=5000))
    first.wait_until(lambda: bool(trainers_alive()), seconds=240)
    (run / ".lock").unlink()
    assert first.process.wait(30) == 2
    (line,) = [one for one in first.said.splitlines() if one.startswith("error: ")]
    assert f"--run {run}: its .lock is not this driver's any more (it was removed" in line
    assert "Traceback" not in first.said
    assert not recorded(run)
    said = grid(*long_array(data, run, epochs=5000), "--epochs", "2", "--extend")
    assert said.code == 0, said.err
    assert len(recorded(run)) == 2


@pytest.mark.faults
def test_a_suspended_worker_harms_nothing(
    tmp_path: Path, start: Callable[..., Driver], ray_cluster: object
) -> None:
    """A worker is suspended while its driver is killed and the next one runs; then it resumes."""
    data, run = write_matbench(tmp_path / "tiny.json.gz", rows(36)), tmp_path / "run"
    arguments = long_array(data, run, epochs=200)
    first = start(arguments)
    first.wait_until(lambda: bool(trainers_alive()), seconds=240)
    (late,) = trainers_alive()
    late.suspend()
    first.remember()
    first.process.send_signal(signal.SIGKILL)
    assert first.end() == -signal.SIGKILL
    try:
        said = grid(*arguments)
        assert said.code == 0, said.err
        before = digests(run)
    finally:
        with_patience = time.monotonic() + 20
        if late.is_running():
            late.resume()
    while late.is_running() and time.monotonic() < with_patience:
        time.sleep(0.1)
    assert digests(run) == before
    assert len(recorded(run)) == 2
    assert not psutil.pid_exists(late.pid) or time.monotonic() >= with_patience
