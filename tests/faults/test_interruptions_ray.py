"""Drivers that are stopped, started twice, or find that Tune's own files were damaged."""

from __future__ import annotations

import signal
import time

import pytest

from orchestrator.training.tuning import EXPERIMENT
from tests.faults.checker import check, keys
from tests.faults.conftest import GOLDEN
from tests.faults.site import Site, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.faults]


def begun(site: Site, since: float) -> bool:
    """Whether a training has begun."""
    return any(event.name == "elemgrid.train" for event in site.events(since))


def test_interrupted_once(site: Site) -> None:
    """It stops within seconds, says how to go on, and the next one does."""
    run, since = "interrupted", time.time()
    driver = site.start(site.flags(run, "--epochs", "4000"))
    wait_until(lambda: begun(site, since), "a training", 180)
    pressed = time.monotonic()
    driver.signal(signal.SIGINT)
    ended = driver.end(60)
    assert ended.code == 130
    assert time.monotonic() - pressed < 30
    assert ended.last.endswith("the same command goes on from here")
    assert "Traceback" not in ended.err


def test_interrupted_twice(site: Site) -> None:
    """The second one ends it at once; what is recorded stays."""
    run, since = "twice", time.time()
    driver = site.start(site.flags(run, "--epochs", "4000"))
    wait_until(lambda: begun(site, since), "a training", 180)
    driver.signal(signal.SIGINT)
    time.sleep(0.5)
    driver.signal(signal.SIGINT)
    ended = driver.end(60)
    assert ended.code in (130, -signal.SIGINT)
    assert len(ended.err.strip().splitlines()) < 12, ended.err


def test_terminated(site: Site) -> None:
    """SIGTERM, as a batch system sends it, is as Ctrl-C."""
    run, since = "terminated", time.time()
    driver = site.start(site.flags(run, "--epochs", "4000"))
    wait_until(lambda: begun(site, since), "a training", 180)
    driver.process.send_signal(signal.SIGTERM)
    ended = driver.end(60)
    assert ended.code in (130, 143, -signal.SIGTERM), ended.err
    assert "Traceback" not in ended.err


def test_two_drivers(site: Site) -> None:
    """The second one is told who is there, and changes nothing; a dead one's lock is free."""
    run, since = "two", time.time()
    site.arm("elemgrid.train", "*", how="hold")
    first = site.start(site.flags(run))
    wait_until(lambda: begun(site, since), "a training", 180)
    second = site.drive(site.flags(run))
    site.release()
    assert second.code == 2
    assert f"pid {first.process.pid} on " in second.last
    assert first.end().code == 0
    check(site, run, GOLDEN, since)


def test_tunes_own_files_do_not_matter(site: Site) -> None:
    """A killed driver's state, truncated or deliberately corrupted, changes nothing."""
    run, since = "tune", time.time()
    site.arm("elemgrid.train", "*", how="hold")
    driver = site.start(site.flags(run))
    wait_until(lambda: begun(site, since), "a training", 180)
    driver.process.kill()
    assert driver.end().code == -signal.SIGKILL
    site.release()
    state, canary = site.runs / run / ".tune", site.folder / "canary"
    for path in state.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for name in ("experiment_state-2026-01-01_00-00-00.json", "tuner.pkl", "trainable.pkl"):
        (state / EXPERIMENT).mkdir(parents=True, exist_ok=True)
        # To unpickle it is to make the file.
        opened = f"cbuiltins\nopen\n(V{canary}\nVw\ntR."
        (state / EXPERIMENT / name).write_text(opened)
    recorded = keys(site.runs / run)
    ended = site.drive(site.flags(run))
    assert ended.code == 0, ended.err
    assert f"4 models in the grid, {len(recorded)} recorded before" in ended.out
    assert not canary.exists(), "a foreign pickle was opened"
    check(site, run, GOLDEN, since)


def test_models_that_always_raise(site: Site) -> None:
    """One is recorded as failed after its second try, the others are done."""
    run, since = "raising", time.time()
    bad = sorted(keys(site.runs / GOLDEN))[0]
    site.arm("elemgrid.train", f"*{bad}*", how="raise", always=True)
    ended = site.drive(site.flags(run))
    assert ended.code == 1
    assert "1 of 4 models are not done; --retry-failed trains the failed ones again" in ended.err
    assert "Traceback" not in ended.err
    tries = [
        event
        for event in site.events(since)
        if event.name == "elemgrid.train" and bad in event.about
    ]
    assert len(tries) == 2, "with its array, and alone"
    site.disarm()
    ended = site.drive(site.flags(run, "--retry-failed"))
    assert ended.code == 0
    assert keys(site.runs / run) == keys(site.runs / GOLDEN)
