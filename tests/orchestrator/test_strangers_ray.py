"""Another user of this machine, and a Ray session: they read, write, replace and reach nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.nodes import private_base
from orchestrator.nodes.ray_internals import raylets_here
from tests.orchestrator.strangers import attack, needs_root
from tests.orchestrator.test_preflight_ray import head, until

pytestmark = needs_root
ROOT = Path(__file__).resolve().parents[2]

# A job with a worker and an object, which prints where it is, and ends on request.
JOB = """
import json, os, sys, time
import ray
from orchestrator.nodes import cluster

class Worker:
    def work(self):
        return bytes(10**6)

with cluster.connected(sys.argv[1] if sys.argv[1:] else None, 1):
    worker = ray.remote(Worker).remote()
    kept = ray.get(worker.work.remote())
    names = ("RAY_TMPDIR", "RAY_AUTH_TOKEN_PATH")
    print(json.dumps({name: os.environ.get(name) for name in names}))
    print(ray.get_runtime_context().gcs_address.rpartition(":")[2], flush=True)
    sys.stdin.read()
"""


@contextmanager
def job(*arguments: str, **environment: str) -> Iterator[tuple[dict[str, str], int, Any]]:
    """Environment, head's port and process of a job, from its output."""
    with subprocess.Popen(
        [sys.executable, "-c", JOB, *arguments], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        env={**os.environ, **environment},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline()), int(process.stdout.readline()), process
        finally:
            process.communicate("")


def session_of(*roots: psutil.Process) -> tuple[list[int], list[int], set[str]]:
    """Processes below some, the ports where they listen, and their sockets in the file system."""
    processes = [each for root in roots for each in (root, *root.children(recursive=True))]
    ports, sockets = set(), set()
    for process in processes:
        for one in process.net_connections("all"):
            if one.status == psutil.CONN_LISTEN:
                ports.add(one.laddr.port)
            elif isinstance(one.laddr, str) and one.laddr:
                sockets.add(one.laddr)
    return [process.pid for process in processes], sorted(ports), sockets


def shared_memory(processes: list[int]) -> list[tuple[str, int]]:
    """Open files of processes in /dev/shm: name and mode."""
    files = [file for pid in processes for file in Path(f"/proc/{pid}/fd").iterdir()]
    named = [(os.readlink(file), file.stat().st_mode & 0o777) for file in files if file.exists()]
    return [(name, mode) for name, mode in named if name.startswith("/dev/shm/")]


def everything_below(*folders: Path) -> list[str]:
    return [str(path) for folder in folders for path in (folder, *sorted(folder.rglob("*")))]


# What Ray does not allow to close, as SECURITY.md says: that it is well, the dashboard's empty
# page, and numbers about autoscaler and dashboard, at a port each.
OPEN = re.compile(
    r"refused \d+ \d+|ask (\d+/( 446|api/(gcs_|local_raylet_)?healthz \d\d?)|(44217|44227)/.*)"
)


def achieved(lines: list[str]) -> list[str]:
    return [line for line in lines if not OPEN.fullmatch(line)]


def test_nobody_else_gets_at_a_local_run() -> None:
    with job() as (environment, gcs, process):
        base, token = Path(environment["RAY_TMPDIR"]), Path(environment["RAY_AUTH_TOKEN_PATH"])
        time.sleep(8)  # until all agents listen
        processes, ports, sockets = session_of(psutil.Process(process.pid))
        paths = everything_below(base)
        assert len(paths) > 40 and len(processes) > 5 and len(ports) >= 5 and gcs in ports
        assert any(path.endswith("/sockets/plasma_store") for path in paths)
        longest = max(len(path) for path in paths if "/sockets/" in path)
        assert longest <= len(str(base)) + len(private_base.LONGEST), "what `unfit` reckons with"

        stranger = attack([*paths, *sorted(sockets)], (), processes, ports)
        assert achieved(stranger) == []
        refused = [int(line.split()[2]) for line in stranger if line.startswith(f"refused {gcs} ")]
        assert len(refused) == 2 and min(refused) > 50, "calls of the head, no token or a wrong one"
        objects = shared_memory(processes[1:])
        assert objects and all(name.endswith(" (deleted)") for name, _ in objects)
        assert {mode for _, mode in objects} == {0o600}
        commands = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes)
        assert token.read_text().encode() not in commands, "which everyone may read"
        # That all of this would be seen: the owner, with the token, achieves it.
        call = "/ray.rpc.NodeInfoGcsService/CheckAlive"
        shown = token.read_text()
        owner = attack([str(token)], (), processes[:1], [gcs], [shown], [call], uid=0)
        for what in (f"read {token}", f"write {token}", f"read /proc/{process.pid}/environ"):
            assert what in owner
        assert any(line.startswith(f"call {gcs}{call} ") for line in owner), owner
    assert process.returncode == 0 and not base.exists()
    assert not psutil.pid_exists(processes[1])


@pytest.mark.faults
def test_nobody_else_gets_at_a_cluster_that_is_started_as_documented() -> None:
    """Its folder is RAY_TMPDIR/ray, in one that only its owner may enter."""
    with head("--include-dashboard=true") as address:
        until(lambda: any(raylet.head == address for raylet in raylets_here()))
        (session,) = [raylet.session for raylet in raylets_here() if raylet.head == address]
        with job(address) as (_, gcs, process):
            time.sleep(8)
            cluster = [one for one in psutil.Process().children() if "start" in one.cmdline()]
            processes, ports, sockets = session_of(*cluster, psutil.Process(process.pid))
            assert gcs in ports and len(processes) > 10
            paths = everything_below(session.parent.parent)
            assert any(path.endswith("/sockets/plasma_store") for path in paths)
            assert achieved(attack([*paths, *sorted(sockets)], (), processes, ports)) == []


@pytest.mark.faults
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_folder_goes_however_a_run_ends(how: signal.Signals) -> None:
    """With the run, or where that was killed, with the next one."""
    with job() as (environment, _, process):
        base = Path(environment["RAY_TMPDIR"])
        processes = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(how)
        process.wait(60)
        assert base.exists() == (how == signal.SIGKILL)
        for each in processes:  # Ray's agents look for the head that is gone for minutes
            with suppress(psutil.NoSuchProcess):
                each.kill()
        until(lambda: not private_base._in_use(base))
        private_base.clear_abandoned(base.parent)
        assert not base.exists()
