"""A driver that is stopped or killed in the middle; the next one ends what it began.

These start the program as a user does, with a Ray runtime of its own or on that of the session.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
import ray

from orchestrator.grid.arrays import GridArray, arrays
from orchestrator.grid.cells import cells
from orchestrator.hybrid_grid.flags import parse
from orchestrator.training.runners import LOST_WORKERS
from tests.orchestrator.small_grids import grid, rows, write_matbench
from trainables.models.backbones import BACKBONES
from trainables.representations import shards
from trainables.targets.base import Target
from trainables.training.fit import fit

ROOT = Path(__file__).resolve().parents[2]
MODELS = 20


def flags(data: Path, run: Path) -> list[str]:
    """20 models in 10 arrays, of a second or two each: more than end while the signal works."""
    return [
        *("--tasks", str(data), "--run", str(run), "--dims", "4", "8", "--mixing", "H", "L"),
        *("--folds", "0", "1", "2", "3", "4", "--backbones", "cgcnn", "--epochs", "50"),
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
        self.family: set[psutil.Process] = set()

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
        self.family |= set(psutil.Process(self.process.pid).children(recursive=True))

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
        _, left = psutil.wait_procs(self.family, timeout=15)
        for process in left:
            process.kill()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Driver]]:
    started: list[Driver] = []

    def begin(arguments: list[str]) -> Driver:
        started.append(Driver(arguments, tmp_path / f"driver{len(started)}.log"))
        return started[-1]

    yield begin
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
    assert 2 <= len(after_stop) < MODELS, "the signal came too late to stop anything"
    last = driver.said.strip().splitlines()[-1]
    assert last.startswith(f"stopped with {len(after_stop)} of {MODELS} models recorded;")
    assert last.endswith("the same command goes on from here")
    assert "stopping; what is recorded stays" in driver.said
    assert "Traceback" not in driver.said
    ledger = pd.read_parquet(run / "ledger.parquet")
    assert set(ledger["key"]) == after_stop and set(ledger["status"]) == {"done"}
    assert not (run / "report.html").exists()
    assert not list((run / "records").glob(".*.tmp"))

    # kill -9, on a cluster that lives on
    cluster = ["--address", ray.get_runtime_context().gcs_address]
    kept = {path: path.stat().st_mtime_ns for path in (run / "records").glob("*.json")}
    driver = start([*flags(data, run), *cluster])
    driver.wait_until(lambda: len(recorded(run)) >= len(after_stop) + 2)
    driver.remember()
    driver.process.send_signal(signal.SIGKILL)
    assert driver.end() == -signal.SIGKILL
    after_kill = recorded(run)
    assert after_stop < after_kill
    assert len(after_kill) < MODELS, "the signal came too late to kill anything"

    # to the end, by a driver that takes over the lock of the dead
    said = grid(*flags(data, run))
    assert said.code == 0
    assert f"{MODELS} models, {len(after_kill)} recorded before" in said.out
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert (run / "report.html").exists()

    # and nobody would know: the same as trained one after the other in this process
    ledger = pd.read_parquet(run / "ledger.parquet").set_index("key")
    assert set(ledger["status"]) == {"done"}
    kind = BACKBONES["cgcnn"].representation
    dataset = shards.load(run / "shards" / "tiny" / kind.name, kind.columns)
    for array in planned(data, run):
        keys = list(array.spec.mixings.values())
        # Members of an array that was cut between two of its records train on alone, and then
        # agree to rounding; all others bit for bit.
        cut = any(0 < len(set(keys) & done) < len(keys) for done in (after_stop, after_kill))
        for outcome in fit(array.spec, dataset):
            row = ledger.loc[outcome.history.member.key]
            for name, value in outcome.metrics.items():
                assert row[name] == (pytest.approx(value, rel=1e-3) if cut else value)
            assert row["best_epoch"] == outcome.history.best_epoch or cut


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.faults)]
)
def test_a_signal_to_all_processes_of_a_job_is_one_line(
    tmp_path: Path, start: Callable[..., Driver], number: int
) -> None:
    """As `timeout`, Slurm and systemd send it: Ray's processes end before the driver.

    Ray ends a driver whose node is gone, with status 1. On a busy machine it may do so before the
    driver has seen that the node is gone: one of two has to be right.
    """
    data = write_matbench(tmp_path / "tiny.json.gz", rows(36))
    for run in (tmp_path / "first", tmp_path / "second"):
        driver = start(flags(data, run))
        driver.wait_until(lambda run=run: len(recorded(run)) >= 1, seconds=240)  # type: ignore[misc]
        pressed = time.monotonic()
        driver.signal(number)
        driver.process.send_signal(signal.SIGINT)  # and from the user, at once
        status = driver.process.wait(60)
        assert time.monotonic() - pressed < 10
        if status == 130:
            break
    assert status == 130, driver.said
    driver.clean()
    assert "Traceback" not in driver.said and "error:" not in driver.said, driver.said
    before, _, last = driver.said.rstrip().rpartition("\n")
    assert last.startswith("stopped") and "the same command goes on" in last
    assert "\nstopped" not in before
    assert recorded(run) and not (run / "report.html").exists()


def planned(data: Path, run: Path) -> list[GridArray]:
    config = parse(flags(data, run)).config.model_copy(update={"tasks": ("tiny",)})
    manifest = json.loads((run / "manifest.json").read_text())
    about = manifest["datasets"]["tiny"]
    target = Target(name=about["target"], unit=about["unit"])
    fingerprints = {("tiny", "cgcnn"): about["fingerprints"]["nn12-r8"]}
    return arrays(cells(config, {"tiny": target}, fingerprints))


@contextlib.contextmanager
def killing_workers(at_most: int) -> Iterator[set[int]]:
    """Kills every process of ours that trains, as soon as it does; gives the pids of the dead."""
    dead: set[int] = set()
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.02) and len(dead) < at_most:
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    # Ray names a process by what it does.
                    if " ".join(process.cmdline()).startswith("ray::ArrayTrial.train"):
                        process.kill()
                        dead.add(process.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield dead
    finally:
        over.set()
        killer.join()


def long_array(data: Path, run: Path, epochs: int) -> list[str]:
    """Two models in one array."""
    return [
        *("--tasks", str(data), "--run", str(run), "--dims", "4", "--mixing", "H", "L"),
        *("--folds", "0", "--backbones", "cgcnn", "--epochs", str(epochs)),
    ]


@pytest.mark.faults
def test_a_worker_that_dies_is_replaced(tmp_path: Path, ray_cluster: object) -> None:
    data, run = write_matbench(tmp_path / "tiny.json.gz", rows(36)), tmp_path / "run"
    with killing_workers(at_most=1) as dead:
        said = grid(*long_array(data, run, epochs=100))
    assert len(dead) == 1
    assert said.code == 0
    assert said.err.count("tiny/fold0/cgcnn/d4: its worker died; it begins again") == 1
    assert "Traceback" not in said.err
    ledger = pd.read_parquet(run / "ledger.parquet")
    assert len(ledger) == 2 and set(ledger["status"]) == {"done"}
    assert set(ledger["epochs"]) == {100}


def test_an_array_whose_workers_always_die_is_a_failed_record(
    tmp_path: Path, ray_cluster: object
) -> None:
    """An array that kills its worker each time is given up, and the job still ends."""
    data, run = write_matbench(tmp_path / "tiny.json.gz", rows(36)), tmp_path / "run"
    with killing_workers(at_most=99) as dead:
        said = grid(*long_array(data, run, epochs=5000))
    assert len(dead) == 1 + LOST_WORKERS
    assert said.code == 1
    ledger = pd.read_parquet(run / "ledger.parquet")
    assert set(ledger["status"]) == {"failed"} and len(ledger) == 2
    assert ledger["error"].str.startswith("its worker died 4 times, most likely of memory").all()
    assert said.err.count("its worker died; it begins again") == LOST_WORKERS
    assert "2 of 2 models are not done; --retry-failed" in said.err
    assert "Traceback" not in said.err
    assert not (run / "report.html").exists()


# Ray's worker in this process is there, but nobody holds it yet: a driver that is broken off here
# ends in a segmentation fault. Starting it takes long, so this is where a signal mostly comes in.
BEGINNING = """
import os, signal, sys
import ray
from orchestrator.nodes import cluster
from orchestrator.interface.job import conduct
class Interrupted(ray._raylet.CoreWorker):
    def __init__(self, *given, **named):
        os.kill(os.getpid(), signal.SIGINT)
ray._raylet.CoreWorker = Interrupted
def work():
    with cluster.connected(None, cpus_per_worker=1):
        print("never said", flush=True)
sys.exit(conduct(work, stopped="again"))
"""


def test_while_ray_begins(tmp_path: Path) -> None:
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING], cwd=tmp_path, env=environment, timeout=200,
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\nstopped at once\n")
