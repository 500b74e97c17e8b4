"""The environment of fault tests: a cluster whose processes can be made to fail, and drivers."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from ray.cluster_utils import Cluster

from tests.orchestrator.small_grids import rows, write_matbench

ROOT = Path(__file__).resolve().parents[2]
INJECT = Path(__file__).parent / "inject"
MARK = "ELEMGRID_FAULTS"  # environment variable of a site's processes: armed faults and log
MEMORY = {"object_store_memory": 100 * 2**20}


@dataclass(frozen=True)
class Event:
    """Something that a watched process was about to do."""

    time: float
    pid: int
    role: str  # driver or worker
    name: str
    about: str


@dataclass(frozen=True)
class Ended:
    """How a driver ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """Its last line on stderr."""
        return (self.err.strip().splitlines() or [""])[-1]


@dataclass
class Driver:
    """`python -m orchestrator.hybrid_grid` in its own session, as a shell would start it."""

    process: subprocess.Popen[str]

    def end(self, seconds: float = 300) -> Ended:
        out, err = self.process.communicate(timeout=seconds)
        return Ended(self.process.returncode, out, err)

    def signal(self, number: int) -> None:
        """Sends a signal to the driver and its children, as a terminal does on Ctrl-C."""
        os.killpg(self.process.pid, number)


@dataclass
class Site:
    """A folder with a data set and runs, a cluster, and the faults armed there.

    Attributes:
        folder: everything below it is watched.
        environment: of every process that belongs to the test.
        nodes, second: the cluster, and its second node if it has one.
    """

    folder: Path
    environment: dict[str, str]
    address: str | None = None
    nodes: Cluster | None = None
    second: Any = None
    started: list[Driver] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path) -> Site:
        """A site without a cluster."""
        faults, runs = folder / "faults", folder / "runs"
        faults.mkdir()
        runs.mkdir()
        write_matbench(folder / "tiny.json.gz", rows(36))
        path = os.pathsep.join([str(INJECT), str(ROOT)])
        own = {
            "PYTHONPATH": path,
            "PYTHONUNBUFFERED": "1",
            MARK: str(faults),
            f"{MARK}_BELOW": str(runs),
        }
        return cls(folder, dict(os.environ, **own))

    @contextlib.contextmanager
    def cluster(self, **more: Any) -> Iterator[Cluster]:
        """A Ray cluster of one node, whose processes are watched."""
        with watched(self.environment):
            cluster = Cluster(
                initialize_head=True,
                head_node_args={"num_cpus": 2, **MEMORY, **more},
            )
        self.nodes, self.address = cluster, cluster.address
        try:
            yield cluster
        finally:
            self.nodes = self.second = self.address = None
            cluster.shutdown()

    def replace_node(self) -> None:
        """Removes the second node without grace, if there is one, and adds one with one CPU."""
        assert self.nodes is not None
        self.remove_node()
        with watched(self.environment):
            self.second = self.nodes.add_node(num_cpus=1, **MEMORY)

    def remove_node(self) -> None:
        """Removes the second node without grace, if there is one."""
        if self.nodes is not None and self.second is not None:
            self.nodes.remove_node(self.second, allow_graceful=False)
        self.second = None

    # ------------------------------------------------------------------------------- drivers

    def flags(self, run: str, *more: str) -> list[str]:
        """4 models in 2 arrays, each of which one model leaves before the other.

        The array is saved then, so that there are snapshots in a run that takes only seconds.
        """
        return [
            *("--tasks", str(self.folder / "tiny.json.gz"), "--run", str(self.runs / run)),
            *("--dims", "4", "--mixing", "H", "L", "--folds", "0", "1", "--backbones", "cgcnn"),
            *("--epochs", "60", "--patience", "2", *more),
        ]

    def start(self, flags: Sequence[str], job: str = "orchestrator.hybrid_grid") -> Driver:
        """Starts a driver, on the cluster if there is one."""
        where = ["--address", self.address] if self.address else []
        process = subprocess.Popen(
            [sys.executable, "-m", job, *flags, *where],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        driver = Driver(process)
        self.started.append(driver)
        return driver

    def drive(self, flags: Sequence[str], seconds: float = 300) -> Ended:
        """Runs a driver to its end."""
        return self.start(flags).end(seconds)

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def faults(self) -> Path:
        return self.folder / "faults"

    # -------------------------------------------------------------------------------- faults

    def arm(self, event: str, about: str, how: str = "kill", **more: str | bool) -> Path:
        """Makes the next process that reaches a point die there; returns the fault's file."""
        path = self.faults / f"{time.time_ns()}.armed"
        hidden = path.with_suffix(".new")
        hidden.write_text(json.dumps({"event": event, "about": about, "how": how, **more}))
        return hidden.rename(path)

    def struck(self) -> int:
        """Faults that have happened."""
        return len(list(self.faults.glob("*.struck")))

    def release(self) -> None:
        """Lets held processes continue."""
        for path in self.faults.glob("*.struck"):
            path.unlink()

    def disarm(self) -> int:
        """Disarms the faults that have not happened; returns their number."""
        left = list(self.faults.glob("*.armed"))
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def events(self, since: float = 0.0) -> list[Event]:
        """The logged actions of the watched processes, by time."""
        log = self.faults / "events.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        found = [Event(*json.loads(line)) for line in lines]
        return [event for event in found if event.time >= since]

    def begun(self, since: float) -> int:
        """Trainings that have started."""
        return sum(event.name == "elemgrid.train" for event in self.events(since))

    def until_training(self, since: float, count: int = 1) -> None:
        """Waits until so many trainings have started."""
        wait_until(lambda: self.begun(since) >= count, f"{count} trainings", 240)

    def clean(self) -> None:
        """Ends the remaining drivers."""
        for driver in self.started:
            if driver.process.poll() is None:
                driver.process.kill()
                driver.process.communicate()


@contextlib.contextmanager
def watched(environment: dict[str, str]) -> Iterator[None]:
    """Sets the environment so that started processes are watched."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def wait_until(reached: Any, what: str, seconds: float = 240) -> None:
    """Waits for a condition; fails the test if it is not met in time."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, f"not reached in {seconds:g} s: {what}"
        time.sleep(0.02)


def processes(name: str, below: int | None = None) -> list[psutil.Process]:
    """Processes of ours whose command line begins with a name, as Ray gives them."""
    found = []
    for process in psutil.Process(below).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if " ".join(process.cmdline()).startswith(name):
                found.append(process)
    return found
