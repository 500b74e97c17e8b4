"""Finding a Ray cluster: a wrong address is reported at once and in one line. No Ray."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.interface.errors import UsageError
from orchestrator.nodes import cluster
from tests.orchestrator.small_grids import grid

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def closed_port() -> int:
    """A port of this machine at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def assert_nobody_answers(line: str, address: str) -> None:
    assert line.startswith(f"error: --address {address}: no Ray cluster answers (")
    assert "ray start --head" in line


def test_a_cluster_that_is_not_there(tmp_path: Path, closed_port: int) -> None:
    """Ray itself would try for two minutes, and talk all the while."""
    address = f"127.0.0.1:{closed_port}"
    flags = ["--preset", "demo", "--run", str(tmp_path / "run"), "--address", address]
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.hybrid_grid", *flags],
        cwd=tmp_path, env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert_nobody_answers(line, address)
    assert time.monotonic() - begun < 60
    assert not (tmp_path / "run").exists()


def test_a_cluster_of_the_environment_that_is_not_there(
    tmp_path: Path, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"127.0.0.1:{closed_port}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    said = grid("--preset", "demo", "--run", str(tmp_path / "run"))
    assert said.code == 2 and said.out == ""
    assert_nobody_answers(said.error, address)
    assert not (tmp_path / "run").exists()


def test_addresses_of_another_kind_are_explained() -> None:
    for address in ("ray://head:10001", "http://127.0.0.1:8265"):
        with pytest.raises(UsageError, match=r"give HOST:PORT of the head"):
            cluster._answering(address)


def test_something_that_is_no_address() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        cluster._answering("nonsense")


def test_an_address_where_something_listens_is_taken() -> None:
    with socket.socket() as listening:
        listening.bind(("", 0))  # Ray knows this machine by its address in the network
        listening.listen()
        port = listening.getsockname()[1]
        found = cluster._answering(f"127.0.0.1:{port}")
    assert found.endswith(f":{port}")


def test_the_token_of_a_dashboard_is_in_the_file_that_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    assert cluster.dashboard_token() is None
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/tmp/eg-x/token")
    assert cluster.dashboard_token() == Path("/tmp/eg-x/token")


def test_workers_that_fit_on_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 1.0}},
        {"Alive": True, "Resources": {"CPU": 3.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    monkeypatch.setattr(cluster.ray, "nodes", lambda: nodes)
    assert cluster.worker_slots(1, 0) == 11
    assert cluster.worker_slots(2, 0) == 5
    assert cluster.worker_slots(0.5, 0) == 22
    assert cluster.worker_slots(1, 0.25) == 4
    assert cluster.worker_slots(4, 0.25) == 2
    assert cluster.worker_slots(16, 0) == cluster.worker_slots(1, 2) == 0


def test_memory_is_shared_among_the_workers_of_the_smallest_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 1.0, "memory": 64e9}},
        {"Alive": True, "Resources": {"CPU": 2.0, "memory": 20e9}},
        {"Alive": True, "Resources": {"memory": 1e9}},  # a head that takes no workers
        {"Alive": False, "Resources": {"CPU": 64.0, "memory": 1e9}},
    ]
    monkeypatch.setattr(cluster.ray, "nodes", lambda: nodes)
    assert cluster.memory_per_worker(1, 0) == 64e9 / 8 / 2
    assert cluster.memory_per_worker(2, 0) == 64e9 / 4 / 2
    assert cluster.memory_per_worker(8, 0) == 64e9 / 2
    assert cluster.memory_per_worker(1, 0.5) == 64e9 / 2 / 2
    assert cluster.memory_per_worker(1, 4) == cluster.SHARE_TO_COME / 2


def test_a_node_of_this_machine_that_is_late_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray waits for its own processes for a minute, and has no class of error for that."""

    def late(**settings: object) -> None:
        raise Exception("The current node timed out during startup.\nThis could happen because …")

    monkeypatch.setattr(cluster.ray, "init", late)
    with (
        pytest.raises(UsageError, match="Ray does not start on this machine") as caught,
        cluster.connected("local", 1),
    ):
        pass
    assert "timed out during startup" in str(caught.value) and "\n" not in str(caught.value)
