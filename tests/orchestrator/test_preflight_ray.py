"""Clusters on which a job cannot run are refused in one line, within a minute, before any work.

Each cluster is one of `ray start` on this machine's loopback. Its second node may live in a mount
namespace of its own, in which a folder is not the one that the first node sees.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from ray.util import get_node_ip_address

from orchestrator.interface.errors import UsageError
from orchestrator.nodes import preflight
from orchestrator.nodes.worker import Worker
from tests.orchestrator.small_grids import Said

ROOT = Path(__file__).resolve().parents[2]
RAY = Path(sys.executable).parent / "ray"
SECOND = "127.0.0.2"
# Connects as a job does, and prints the workers that fit.
LOOK = """
import sys
from pathlib import Path
from orchestrator.nodes import cluster, preflight
from orchestrator.nodes.worker import Worker
with cluster.connected(sys.argv[1], 1):
    print(preflight.ready(Worker(cpus=1, gpus=0), sys.argv[1], Path(sys.argv[2])))
"""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def own_mounts() -> bool:
    """Whether a process may be given a mount namespace of its own."""
    try:
        command = ["unshare", "-m", "mount", "-t", "tmpfs", "none", tempfile.gettempdir()]
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


needs_mounts = pytest.mark.skipif(
    not own_mounts(), reason="no right to mount namespaces (unshare -m)"
)


@contextmanager
def node(
    *flags: str, before: tuple[str, ...] = (), mode: str = "token", **environment: str
) -> Iterator[None]:
    """A node that ends with the block, and its processes with it."""
    ports = ["--min-worker-port=0", "--max-worker-port=0", f"--metrics-export-port={free_port()}"]
    ports += [f"--dashboard-agent-listen-port={free_port()}"]
    started = subprocess.Popen(
        [*before, str(RAY), "start", "--block", "--num-cpus=1", "--num-gpus=0", *ports, *flags],
        env={**os.environ, "RAY_AUTH_MODE": mode, **environment},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        started.terminate()
        started.wait(30)


@contextmanager
def head(*flags: str, mode: str = "token") -> Iterator[str]:
    """The address of a cluster of one node."""
    # Ray takes no other address of this machine for a driver's
    address = f"{get_node_ip_address()}:{free_port()}"
    with (
        tempfile.TemporaryDirectory(prefix="tests-", dir="/tmp") as folder,
        node(
            "--head", f"--port={address.rpartition(':')[2]}",
            "--include-dashboard=false", f"--dashboard-port={free_port()}",
            f"--ray-client-server-port={free_port()}", *flags, mode=mode,
            RAY_TMPDIR=folder, RAY_enable_metrics_collection="0",
        ),
    ):  # fmt: skip
        yield address


@contextmanager
def two_nodes(*before: str, head_takes_work: bool = True) -> Iterator[str]:
    """The address of a cluster of two nodes, the second of which is started by `before`."""
    with ExitStack() as nodes:
        address = nodes.enter_context(head(*([] if head_takes_work else ["--num-cpus=0"])))
        until(lambda: nodes_of(address) == 1)
        nodes.enter_context(
            node(f"--address={address}", f"--node-ip-address={SECOND}", before=before)
        )
        until(lambda: nodes_of(address) == 2)
        yield address


def until(true: object) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with suppress(OSError):
            if true():  # type: ignore[operator]
                return
        time.sleep(1)
    raise TimeoutError("the cluster did not start")


def nodes_of(address: str) -> int:
    """How many nodes a cluster has; 0 where none answers yet."""
    from ray._raylet import GcsClient

    try:
        return len(GcsClient(address=address).get_all_node_info(timeout=5))
    except Exception:  # of the connection, while the cluster starts
        return 0


def run(*command: str) -> Said:
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=200,
        env={**os.environ, "RAY_AUTH_MODE": "token"},
    )  # fmt: skip
    return Said(done.returncode, done.stdout, done.stderr)


def grid(address: str, folder: Path, *flags: str) -> Said:
    given = ["--preset", "demo", "--address", address, "--run", str(folder), *flags]
    return run("-m", "orchestrator.hybrid_grid", *given)


def patient_grid(address: str, folder: Path, *flags: str) -> tuple[float, Said]:
    """Seconds from where the main job says that it waits for a node to its end, and what it said.

    So that neither Python's imports nor the way to the cluster count.
    """
    given = ["--preset", "demo", "--address", address, "--run", str(folder), *flags]
    out, begun = "", float("-inf")
    with subprocess.Popen(
        [sys.executable, "-m", "orchestrator.hybrid_grid", *given], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "RAY_AUTH_MODE": "token"},
    ) as job:  # fmt: skip
        assert job.stdout is not None and job.stderr is not None
        for line in job.stdout:
            out += line
            if line.startswith("no node takes a worker yet"):
                begun = time.monotonic()
        err = job.stderr.read()
    return time.monotonic() - begun, Said(job.returncode, out, err)


@needs_mounts
def test_a_folder_that_one_node_does_not_reach_is_refused(tmp_path: Path) -> None:
    """One that all reach is not."""
    shared, hidden = tmp_path / "shared", tmp_path / "hidden"
    shared.mkdir()
    hidden.mkdir()
    covered = f'mount -t tmpfs none {hidden} && exec "$@"'
    with two_nodes("unshare", "-m", "sh", "-c", covered, "-") as address:
        said = grid(address, hidden / "run")
        assert said.code == 2
        assert f"--run {hidden / 'run'}: node {SECOND} does not see it" in said.error
        assert "shared" not in said.error.partition("put")[0]
        assert not any(hidden.iterdir())
        assert run("-c", LOOK, address, str(shared / "run")).out == "2\n"
        assert not any((shared / "run").iterdir()), "the probe is left behind"


@pytest.mark.usefixtures("ray_cluster")
def test_resources_that_no_node_has_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(preflight, "PATIENCE", 1.0)
    with pytest.raises(UsageError, match="no node has the 64 CPUs and 0 GPUs that a worker is to"):
        preflight.ready(Worker(cpus=64, gpus=0), "192.0.2.1:6379", tmp_path / "run")
    assert "no node takes a worker yet; waiting for one" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


@pytest.mark.faults
def test_resources_that_no_node_has_are_refused_in_time(tmp_path: Path) -> None:
    with two_nodes() as address:
        seconds, said = patient_grid(address, tmp_path / "other", "--cpus-per-worker", "64")
    assert seconds < 60
    assert said.code == 2 and "(the most are 1 and 0)" in said.error
    assert "no node has the 64 CPUs and 0 GPUs" in said.error
    assert not (tmp_path / "other").exists()


@pytest.mark.faults
@needs_mounts
def test_one_node_that_takes_work_is_asked_unless_it_is_the_drivers(tmp_path: Path) -> None:
    """As with a head without CPUs, and one worker so far."""
    covered = f'mount -t tmpfs none {tmp_path} && exec "$@"'
    with two_nodes("unshare", "-m", "sh", "-c", covered, "-", head_takes_work=False) as address:
        said = run("-c", LOOK, address, str(tmp_path / "run"))
    assert said.code != 0
    assert f"--run {tmp_path / 'run'}: node {SECOND} does not see it" in said.err


def test_a_cluster_that_asks_nobody_for_a_token_is_refused(tmp_path: Path) -> None:
    """Though the driver has one, and shows it."""
    with head(mode="disabled") as address:
        host, _, port = address.rpartition(":")
        until(lambda: socket.create_connection((host, int(port)), timeout=5).close() is None)
        said = grid(address, tmp_path / "run")
    assert said.code == 2 and f"{host} asks nobody for the token" in said.error
    assert not (tmp_path / "run").exists()
