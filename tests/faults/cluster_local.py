"""Tries `ray up deploy/cluster.local.yaml` for real, on machines made of namespaces.

make cluster-local

Three machines and a laptop, each with a home, a temporary folder and processes of its own, joined
by an isolated network. In the cluster file, addresses, user and key are filled in and nothing else
is changed; the wheel is installed as documented. Each step has a time limit, and so has the whole;
nothing is left behind, whatever ends it. Needs root.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults import machines
from tests.faults.machines import HOME, SHARED, USER, Machine

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = "deploy/cluster.local.yaml"
ADDRESSES = ("10.77.0.10", "10.77.0.11", "10.77.0.12")
PLACEHOLDERS = ("192.0.2.10", "192.0.2.11", "192.0.2.12")  # the addresses in the file
LAPTOP = "10.77.0.20"
JOBS = "http://127.0.0.1:8265"
RUN = SHARED / "runs" / "trial"
GRID = (
    f"python -m orchestrator.hybrid_grid --run {RUN} --tasks ionic --backbones cgcnn --dims 16 32"
    " --mixing H 0 L --folds 0 1 2 --epochs 40 --patience 40"
)
MODELS = 18
STRANGER = 7078  # a uid that no machine knows
WHOLE = 2400.0  # seconds for all of it
SKIPPED = 77


class Failed(Exception):
    """A step failed."""


@dataclass
class Trial:
    """The machines and the user at the laptop.

    Attributes:
        table: step, seconds that it took, its limit in seconds, what was observed.
    """

    head: Machine
    workers: list[Machine]
    laptop: Machine
    table: list[tuple[str, float, float, str]]

    @contextlib.contextmanager
    def step(self, name: str, seconds: float) -> Iterator[Callable[[str], None]]:
        """A step with a time limit; observations passed to the yielded function go to the table."""
        seen: list[str] = []
        begun = time.monotonic()
        try:
            yield seen.append
        finally:
            took = time.monotonic() - begun
            self.table.append((name, took, seconds, "; ".join(seen)))
            print(f"{name}: {took:.0f} s of {seconds:g}; {'; '.join(seen)}", flush=True)
        if took > seconds:
            raise Failed(f"{name}: {took:.0f} s instead of {seconds:g}")

    def at_laptop(self, line: str, seconds: float) -> subprocess.CompletedProcess[str]:
        """The user's command, in the checkout and with the environment of `make setup`."""
        ready = "cd elemgrid && . .venv/bin/activate && export RAY_AUTH_MODE=token"
        return self.laptop.run(f"{ready} && {line}", seconds)

    def demand(self, line: str, seconds: float) -> str:
        """Runs the user's command, which has to succeed; returns its output."""
        done = self.at_laptop(line, seconds)
        if done.returncode:
            raise Failed(f"`{line}` ended with status {done.returncode}:\n{done.stdout[-6000:]}")
        return done.stdout

    def nodes(self) -> list[str]:
        """Addresses of the nodes that are alive, according to Ray."""
        done = self.at_laptop(f"ray list nodes --address {JOBS} --format json", 60)
        try:
            found = json.loads(done.stdout[done.stdout.index("[") :])
        except ValueError:
            return []
        return sorted(node["node_ip"] for node in found if node["state"] == "ALIVE")

    def submit(self) -> str:
        """Submits the grid; returns the id of the job."""
        line = f"ray job submit --address {JOBS} --no-wait --working-dir . -- {GRID}"
        found = re.search(r"'(raysubmit_\w+)' submitted", said := self.demand(line, 120))
        if found is None:
            raise Failed(f"no job was submitted:\n{said}")
        return found[1]

    def status(self, job: str) -> str:
        said = self.at_laptop(f"ray job status --address {JOBS} {job}", 60).stdout
        found = re.search(r"\b(PENDING|RUNNING|SUCCEEDED|FAILED|STOPPED)\b", said.upper())
        return found[1] if found else said

    def log(self, job: str) -> str:
        return self.at_laptop(f"ray job logs --address {JOBS} {job}", 60).stdout

    def records(self) -> dict[str, bytes]:
        """Rows of the models that are recorded, by file."""
        folder = self.laptop.root / RUN.relative_to("/") / "records"
        return {path.name: path.read_bytes() for path in folder.glob("*.json")}

    def until(self, ask: Callable[[], Any], seconds: float, otherwise: Callable[[], str]) -> Any:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := ask():
                return found
            time.sleep(1)
        raise Failed(f"after {seconds:g} s: {otherwise()}")


def names_of_arrays(it: Trial) -> list[str]:
    """Titles of processes that train, which name the array."""
    ps = " ".join(line for machine in (it.head, *it.workers) for _, line in machine.processes())
    processes = re.findall(r"ray::ArrayTrial\.train ionic/fold\d/cgcnn/d\d+", ps)
    return [f"`{name}`" for name in processes[:1]]


def of_ray(machine: Machine) -> list[str]:
    """Command lines of Ray's processes on a machine, including a waiting `ray start --block`."""
    its = re.compile(r"\bray::|/ray/|/ray start ")
    return [line for _, line in machine.processes() if its.search(line)]


def sessions(machine: Machine, uid: int) -> list[str]:
    """Ray's session folders that a user of a machine finds."""
    look = "find /tmp /var/tmp /home /shared -name 'session_2*' -prune 2>/dev/null"
    who = f"setpriv --reuid={uid} --regid={uid} --clear-groups"
    return machine.run(f"{who} {look}", user="root").stdout.split()


def trial(head: Machine, workers: list[Machine], laptop: Machine) -> Trial:
    """Runs all steps, in the order of docs/cluster.md."""
    it = Trial(head, workers, laptop, [])
    try:
        _steps(it)
    except BaseException:
        _tell_logs(it)
        raise
    finally:
        print("\n" + table(it.table), flush=True)
    return it


def _steps(it: Trial) -> None:
    everyone = sorted(ADDRESSES)
    with it.step("`ray up`", 400) as tell:
        it.demand("ray get-auth-token --generate && chmod 600 ~/.ray/auth_token", 60)
        it.demand(f"ray up -y {CLUSTER}", 380)
        tell("the head runs")
    tunnel = subprocess.Popen(
        it.laptop.command(
            f"cd elemgrid && . .venv/bin/activate && exec ray dashboard {CLUSTER}"
        ),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with it.step("all nodes are there", 300) as tell:
        it.until(lambda: it.nodes() == everyone, 280, lambda: f"not all of {everyone} are there")
        for machine in (it.head, *it.workers):
            if not sessions(machine, 0) or (seen := sessions(machine, STRANGER)):
                raise Failed(f"{machine.name}: no session folder, or others enter {seen}")
        tell(f"{len(everyone)} nodes, whose session folders no other user enters")
    with it.step("`ray job submit`, until the first models are recorded", 480) as tell:
        first = it.submit()
        it.until(it.records, 360, lambda: f"no record:\n{it.log(first)}")
        named = it.until(lambda: names_of_arrays(it), 60, lambda: "no process says what it trains")
        tell(f"{len(it.records())} of {MODELS} models, trained by {', '.join(named)}")
    with it.step("the driver is killed (SIGKILL)", 120) as tell:
        drivers = [pid for pid, line in it.head.processes() if line.startswith("python -m orch")]
        for pid in drivers:
            os.kill(pid, signal.SIGKILL)
        it.until(lambda: it.status(first) == "FAILED", 100, lambda: "the job has not failed")
        before = it.records()
        if not drivers or len(before) >= MODELS:
            raise Failed(f"{len(drivers)} drivers were killed, with {len(before)} models recorded")
        tell(f"the job is `FAILED`, {len(before)} models are recorded")
    with it.step("submitted again, until it goes on", 400) as tell:
        second = it.submit()
        it.until(lambda: len(it.records()) > len(before), 360, lambda: "nothing is recorded")
        tell(f"{len(it.records())} of {MODELS} models")
    with it.step("a worker machine loses its power; the job ends", 600) as tell:
        gone = it.workers.pop()
        gone.cut()
        had = len(it.records())
        it.until(lambda: it.status(second) != "RUNNING", 560, lambda: "the job does not end")
        if it.status(second) != "SUCCEEDED":
            raise Failed(f"the job ended with {it.status(second)}:\n{it.log(second)}")
        after = it.records()
        statuses = {json.loads(row)["status"] for row in after.values()}
        if len(after) != MODELS or statuses != {"done"}:
            raise Failed(f"{len(after)} of {MODELS} models recorded, {statuses}")
        again = [name for name, row in before.items() if after[name] != row]
        if again or had >= MODELS:
            raise Failed(f"trained again: {again}; {had} recorded when the machine was lost")
        tell(f"`SUCCEEDED`, {MODELS} models, none of the first {len(before)} trained again")
    with it.step("submitted once more, with one machine missing", 300) as tell:
        third = it.submit()
        it.until(lambda: it.status(third) == "SUCCEEDED", 280, lambda: "the job does not end")
        told = [line for line in it.log(third).splitlines() if gone.address in line]
        if not told:
            raise Failed(f"the job does not name {gone.address}:\n{it.log(third)}")
        tell(f"“{told[0].strip()}”")
    with it.step("`ray down`, until nothing of Ray runs", 420) as tell:
        said = it.demand(f"ray down -y {CLUSTER}", 150)
        left = [it.head, *it.workers]
        it.until(
            lambda: not any(of_ray(machine) for machine in left), 260,
            lambda: f"{[line for machine in left for line in of_ray(machine)]} run:\n{said}",
        )  # fmt: skip
        tell(f"no process of Ray's on {len(left)} machines")
    tunnel.kill()
    tunnel.wait()


def _tell_logs(it: Trial) -> None:
    """Logs that help to understand why a step failed."""
    for machine in (it.head, *it.workers):
        print(f"--- {machine.name}", *of_ray(machine), sep="\n", file=sys.stderr)
    said = it.head.run("tail -n 60 /var/tmp/ray-*/ray/session_latest/logs/monitor.*", 60).stdout
    print(said, file=sys.stderr, flush=True)


def table(rows: list[tuple[str, float, float, str]]) -> str:
    """The table in Markdown."""
    lines = ["| step | s | at most | seen |", "|---|---|---|---|"]
    lines += [f"| {what} | {took:.0f} | {most:g} | {seen} |" for what, took, most, seen in rows]
    return "\n".join(lines)


def filled_in(text: str) -> str:
    """The cluster file with addresses, user and key of these machines."""
    for placeholder, address in zip(PLACEHOLDERS, ADDRESSES, strict=True):
        if placeholder not in text:
            raise Failed(f"{CLUSTER} has no {placeholder}")
        text = text.replace(placeholder, address)
    text, users = re.subn(r"(ssh_user: )\S+", rf"\g<1>{USER}", text)
    text, keys = re.subn(r"(ssh_private_key: )\S+", r"\g<1>~/.ssh/cluster", text)
    if (users, keys) != (1, 1):
        raise Failed(f"{CLUSTER} has {users} users and {keys} keys")
    return text


def inside(folder: Path) -> int:
    """Inside the world: builds the machines, and runs the steps."""
    key = folder / "cluster"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    below = folder / "machines"
    below.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "world", below], check=True)
    (below / "shared" / "runs").mkdir(parents=True)
    os.chown(below / "shared" / "runs", machines.UID, machines.UID)
    machines.bridge()
    names = ("head", "worker-1", "worker-2", "laptop")
    head, *workers, laptop = (
        machines.boot(name, address, below, key.with_suffix(".pub"))
        for name, address in zip(names, (*ADDRESSES, LAPTOP), strict=True)
    )
    for machine in (head, *workers):
        machines.environment(machine, HOME / "elemgrid-env")
    home = laptop.root / HOME.relative_to("/")
    own = f"{machines.UID}:{machines.UID}"
    for command in (
        ["cp", "-r", str(folder / "checkout"), str(home / "elemgrid")],
        ["cp", str(key), str(home / ".ssh" / "cluster")],
        ["chown", "-R", own, str(home)],
    ):
        subprocess.run(command, check=True)
    file = home / "elemgrid" / CLUSTER
    file.write_text(filled_in(file.read_text()))
    machines.environment(laptop, HOME / "elemgrid" / ".venv")
    try:
        trial(head, workers, laptop)
    except (Failed, subprocess.TimeoutExpired) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def checkout(folder: Path) -> None:
    """The files of the project as they are here, with dist/ as `make wheel` leaves it."""
    listed = [
        "git",
        "-C",
        str(ROOT),
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    files = subprocess.run(listed, capture_output=True, check=True, text=True).stdout
    names = [name for name in files.split("\0") if name and (ROOT / name).is_file()]
    subprocess.run(
        ["rsync", "-a", "--from0", "--files-from=-", f"{ROOT}/", f"{folder}/"],
        input="\0".join(names), text=True, check=True,
    )  # fmt: skip
    venv = Path(sys.prefix)
    # `-o`: does not reinstall what is installed there.
    wheel = ["make", "--silent", "-o", f"{venv}/.installed", "wheel", f"VENV={venv}"]
    subprocess.run(wheel, cwd=folder, check=True)


def main() -> int:
    """Returns 0 if all steps passed, 77 if they cannot be tried here."""
    if why := machines.lacking():
        print(f"cluster-local: {why}", file=sys.stderr)
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="elemgrid-machines-") as folder:
        (Path(folder) / "checkout").mkdir()
        checkout(Path(folder) / "checkout")
        command = [sys.executable, "-m", "tests.faults.cluster_local", "--inside", folder]
        environment = {"PATH": machines.PATH, "PYTHONPATH": str(ROOT), "HOME": "/root"}
        return machines.in_a_world(command, WHOLE, environment)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        sys.exit(inside(Path(sys.argv[2])))
    sys.exit(main())
