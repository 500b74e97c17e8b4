"""Drivers that are stopped, started twice, or find that Tune's own files were damaged."""

from __future__ import annotations

import signal
import time

import pytest

from orchestrator.interface.job import INTERRUPTED, SOME_FAILED, USAGE
from orchestrator.training.runners import EXPERIMENT
from tests.faults.checker import check, keys
from tests.faults.conftest import GOLDEN
from tests.faults.site import Site

pytestmark = pytest.mark.faults


def slow(site: Site) -> None:
    """Slows the two first trainings down by some seconds, so that signals arrive during them."""
    for _ in range(2):
        site.arm("elemgrid.train", "*", how="wait", seconds="8")


def test_interrupted_once(site: Site) -> None:
    """The job stops within seconds, says how to continue, and the next one does."""
    run, since = "interrupted", time.time()
    slow(site)
    driver = site.start(site.flags(run))
    site.until_training(since)
    pressed = time.monotonic()
    driver.signal(signal.SIGINT)
    stopped = driver.end()
    assert stopped.code == INTERRUPTED
    assert time.monotonic() - pressed < 30
    assert stopped.last.endswith("the same command goes on from here")
    site.disarm()
    check(site, run, GOLDEN, since, stopped, site.drive(site.flags(run)))


def test_interrupted_twice(site: Site) -> None:
    """The second signal ends it at once; recorded models stay, and the next job continues."""
    run, since = "twice", time.time()
    slow(site)
    driver = site.start(site.flags(run))
    site.until_training(since)
    driver.signal(signal.SIGINT)
    time.sleep(0.5)
    driver.signal(signal.SIGINT)
    stopped = driver.end()
    assert stopped.code in (INTERRUPTED, -signal.SIGINT)
    assert len(stopped.err.strip().splitlines()) < 12, stopped.err
    site.disarm()
    check(site, run, GOLDEN, since, stopped, site.drive(site.flags(run)))


def test_terminated(site: Site) -> None:
    """SIGTERM, as a batch system sends it, has the effect of Ctrl-C."""
    run, since = "terminated", time.time()
    slow(site)
    driver = site.start(site.flags(run))
    site.until_training(since)
    driver.process.send_signal(signal.SIGTERM)
    stopped = driver.end()
    assert stopped.code == INTERRUPTED, stopped.err
    assert "the same command goes on " in stopped.last
    site.disarm()
    check(site, run, GOLDEN, since, stopped, site.drive(site.flags(run)))


def test_two_drivers(site: Site) -> None:
    """A live driver keeps a second one out, which names it; the lock of a dead one is free."""
    run, since = "two", time.time()
    site.arm("elemgrid.train", "*", how="hold")
    first = site.start(site.flags(run))
    site.until_training(since)
    second = site.drive(site.flags(run))
    site.release()
    assert second.code == USAGE
    assert f"pid {first.process.pid} on " in second.last
    check(site, run, GOLDEN, since, second, first.end())


def test_tunes_own_files_do_not_matter(site: Site) -> None:
    """A killed driver's state, truncated or deliberately corrupted, changes nothing."""
    run, since = "tune", time.time()
    site.arm("elemgrid.train", "*", how="hold")
    driver = site.start(site.flags(run))
    site.until_training(since)
    driver.process.kill()
    killed = driver.end()
    assert killed.code == -signal.SIGKILL
    site.release()
    state, canary = site.runs / run / ".tune", site.folder / "canary"
    for path in state.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for name in ("experiment_state-2026-01-01_00-00-00.json", "tuner.pkl", "trainable.pkl"):
        (state / EXPERIMENT).mkdir(parents=True, exist_ok=True)
        # Unpickling it would create the file.
        opened = f"cbuiltins\nopen\n(V{canary}\nVw\ntR."
        (state / EXPERIMENT / name).write_text(opened)
    recorded = keys(site.runs / run)
    ended = site.drive(site.flags(run))
    assert f"4 models, {len(recorded)} recorded before" in ended.out
    assert not canary.exists(), "a foreign pickle was opened"
    check(site, run, GOLDEN, since, killed, ended)


def test_models_that_always_raise(site: Site) -> None:
    """A model is recorded as failed after its second try; the others are done."""
    run, since = "raising", time.time()
    bad = sorted(keys(site.runs / GOLDEN))[0]
    site.arm("elemgrid.train", f"*{bad}*", how="raise", always=True)
    failed = site.drive(site.flags(run))
    assert failed.code == SOME_FAILED
    assert failed.last.startswith("1 of 4 models is not done; --retry-failed trains the failed ")
    tries = [
        event
        for event in site.events(since)
        if event.name == "elemgrid.train" and bad in event.about
    ]
    assert len(tries) == 2, "with its array, and alone"
    site.disarm()
    check(site, run, GOLDEN, since, failed, site.drive(site.flags(run, "--retry-failed")))
