"""A driver that is stopped or killed in the middle; the next one ends what it began.

These start the program as a person does, each with a Ray runtime of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest

from tests.orchestrator.small_grids import grid, rows, write_matbench

ROOT = Path(__file__).resolve().parents[2]
METRICS = ["train_mae", "val_mae", "test_mae", "dummy_mae", "epochs", "best_epoch"]
pytestmark = pytest.mark.ray


def flags(data: Path, run: Path, epochs: int = 60) -> list[str]:
    """12 models in 6 arrays, of a second or two each."""
    return [
        *("--tasks", str(data), "--run", str(run), "--dims", "4", "--mixing", "H", "L"),
        *("--folds", "0", "1", "2", "--epochs", str(epochs)),
    ]


class Driver:
    """`python -m orchestrator.hybrid_grid` in a session of its own, as a shell would start it."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self.log = log
        environment = dict(os.environ, PYTHONPATH=str(ROOT), PYTHONUNBUFFERED="1")
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "orchestrator.hybrid_grid", *arguments],
                cwd=log.parent, env=environment, stdin=subprocess.DEVNULL,
                stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._family: set[psutil.Process] = set()

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_until(self, reached: Callable[[], bool], seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while not reached():
            assert self.process.poll() is None, f"it ended too early: {self.said}"
            assert time.monotonic() < end, f"not reached in {seconds} s: {self.said}"
            time.sleep(0.02)

    def signal(self, number: int) -> None:
        """To the driver and all that it started, as a terminal does on Ctrl-C."""
        self.remember()
        os.killpg(self.process.pid, number)

    def remember(self) -> None:
        """Notes the processes of its Ray runtime, which outlive it for a moment."""
        self._family |= set(psutil.Process(self.process.pid).children(recursive=True))

    def end(self, seconds: float = 60) -> int:
        code = self.process.wait(seconds)
        self.clean()
        return code

    def clean(self) -> None:
        """Waits for its Ray processes, and ends those that are left after a while."""
        if self.process.poll() is None:
            self.remember()
            self.process.kill()
            self.process.wait(10)
        _, left = psutil.wait_procs(self._family, timeout=15)
        for process in left:
            process.kill()


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Driver]:
    started: list[Driver] = []

    def begin(arguments: list[str]) -> Driver:
        started.append(Driver(arguments, tmp_path / f"driver{len(started)}.log"))
        return started[-1]

    yield begin  # type: ignore[misc]  # a fixture that cleans up
    for driver in started:
        driver.clean()


def recorded(run: Path) -> set[str]:
    return {path.stem for path in (run / "records").glob("*.json")}


def test_stopped_and_killed_and_ended_at_last(
    tmp_path: Path, start: Callable[..., Driver], ray_cluster: object
) -> None:
    """One run directory: Ctrl-C in the middle, then SIGKILL in the middle, then to the end."""
    data = write_matbench(tmp_path / "tiny.json.gz", rows(36))
    run = tmp_path / "run"

    # Ctrl-C
    driver = start(flags(data, run))
    driver.wait_until(lambda: len(recorded(run)) >= 2)
    pressed = time.monotonic()
    driver.signal(signal.SIGINT)
    assert driver.end() == 130
    assert time.monotonic() - pressed < 20
    after_stop = recorded(run)
    assert 2 <= len(after_stop) < 12, "the signal came too late to stop anything"
    last = driver.said.strip().splitlines()[-1]
    assert last == (
        f"stopped with {len(after_stop)} of 12 models recorded;"
        " the same command goes on from here"
    )
    assert "stopping; what is recorded stays" in driver.said
    assert "Traceback" not in driver.said
    ledger = pd.read_parquet(run / "ledger.parquet")
    assert set(ledger["key"]) == after_stop and set(ledger["status"]) == {"done"}
    assert not (run / "report.html").exists()
    assert not list((run / "records").glob(".*.tmp"))

    # kill -9
    kept = {path: path.stat().st_mtime_ns for path in (run / "records").glob("*.json")}
    driver = start(flags(data, run))
    driver.wait_until(lambda: len(recorded(run)) >= len(after_stop) + 2)
    driver.remember()
    driver.process.send_signal(signal.SIGKILL)
    assert driver.end() == -signal.SIGKILL
    after_kill = recorded(run)
    assert after_stop < after_kill
    assert len(after_kill) < 12, "the signal came too late to kill anything"

    # to the end, by a driver that takes over the lock of the dead
    said = grid(*flags(data, run))
    assert said.code == 0
    assert f"12 models in the grid, {len(after_kill)} recorded before" in said.out
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert (run / "report.html").exists()

    # and nobody would know
    undisturbed = tmp_path / "undisturbed"
    assert grid(*flags(data, undisturbed)).code == 0
    ledger = pd.read_parquet(run / "ledger.parquet").set_index("key")
    reference = pd.read_parquet(undisturbed / "ledger.parquet").set_index("key")
    assert ledger.index.tolist() == reference.index.tolist()
    whole = ledger.groupby("array").groups
    for keys in whole.values():
        # Members of an array that was cut between two of its records train on alone, and then
        # agree to rounding; all others bit for bit.
        cut = any(0 < len(set(keys) & done) < len(keys) for done in (after_stop, after_kill))
        for name in METRICS:
            if cut:
                assert ledger.loc[keys, name].tolist() == pytest.approx(
                    reference.loc[keys, name].tolist(), rel=1e-3
                )
            else:
                assert ledger.loc[keys, name].tolist() == reference.loc[keys, name].tolist()
    for table in (run / "tables").glob("*.csv"):
        assert table.exists()


def test_a_worker_that_dies_is_replaced(tmp_path: Path, start: Callable[..., Driver]) -> None:
    """Its array begins again on another worker; in the end each model is recorded once."""
    data = write_matbench(tmp_path / "tiny.json.gz", rows(36))
    run = tmp_path / "run"
    driver = start([*flags(data, run, epochs=150), "--backbones", "cgcnn"])
    driver.wait_until(lambda: bool(workers(driver)))
    time.sleep(0.5)
    victim = workers(driver)[0]
    victim.kill()
    assert driver.end(120) == 0, driver.said
    assert "its worker died; it begins again" in driver.said
    ledger = pd.read_parquet(run / "ledger.parquet")
    assert len(ledger) == 6 and set(ledger["status"]) == {"done"}
    assert "6 models done" in driver.said and "Traceback" not in driver.said
    for key in ledger["key"]:
        assert json.loads((run / "records" / f"{key}.json").read_text())["epochs"] == 150


def workers(driver: Driver) -> list[psutil.Process]:
    """The processes that train, oldest first."""
    driver.remember()
    found = []
    for process in driver._family:
        try:
            if "ArrayTrial.step" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return sorted(found, key=lambda process: process.create_time())
