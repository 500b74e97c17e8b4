"""Who may come in: tokens are their owner's alone, and a cluster that asks for none is refused."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from ray.core.generated.gcs_service_pb2 import CheckAliveReply
from ray.core.generated.gcs_service_pb2_grpc import (
    NodeInfoGcsServiceServicer,
    add_NodeInfoGcsServiceServicer_to_server,
)

from orchestrator.interface.errors import UsageError
from orchestrator.nodes import cluster
from orchestrator.nodes.doors import keep_token_to_oneself, takes_strangers

ROOT = Path(__file__).resolve().parents[2]


class Head(NodeInfoGcsServiceServicer):
    """Answers as a head does, whose token is to be shown or not."""

    def __init__(self, guarded: bool) -> None:
        self.guarded = guarded

    def CheckAlive(self, request: object, context: grpc.ServicerContext) -> CheckAliveReply:
        if self.guarded and "authorization" not in dict(context.invocation_metadata()):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")
        return CheckAliveReply()


@contextmanager
def head(guarded: bool) -> Iterator[int]:
    """The port of one, on all addresses of this machine."""
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        add_NodeInfoGcsServiceServicer_to_server(Head(guarded), server)
        port = server.add_insecure_port("0.0.0.0:0")
        server.start()
        try:
            yield port
        finally:
            server.stop(None).wait()


@pytest.mark.parametrize("guarded", [True, False])
def test_a_head_is_asked_without_a_token(guarded: bool) -> None:
    with head(guarded) as port:
        assert takes_strangers(f"127.0.0.1:{port}") != guarded
    assert not takes_strangers(f"127.0.0.1:{port}"), "nobody is there any more"


def test_a_cluster_that_asks_for_no_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the driver itself is set to; Ray's name for this machine is not its loopback."""
    with head(guarded=False) as port:
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        with pytest.raises(UsageError, match=r"asks nobody for the token, so that anyone who"):
            cluster._answering(f"127.0.0.1:{port}")
        monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
        with pytest.raises(UsageError, match=r"takes anyone who reaches it; start both sides with"):
            cluster._answering(f"127.0.0.1:{port}")
    with head(guarded=True) as port:
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        assert cluster._answering(f"127.0.0.1:{port}").endswith(f":{port}")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_token_is_for_its_owner_alone(home: Path) -> None:
    before = os.umask(0)
    try:
        keep_token_to_oneself()
    finally:
        os.umask(before)
    file = home / ".ray" / "auth_token"
    token = file.read_text()
    assert len(token) == 64 and mode(file) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["auth_token"]
    file.chmod(0o644)  # as Ray makes it
    keep_token_to_oneself()
    assert (file.read_text(), mode(file)) == (token, 0o600)


@pytest.mark.parametrize(
    ("name", "value"),
    [("RAY_AUTH_TOKEN", "x"), ("RAY_AUTH_TOKEN_PATH", "/x"), ("RAY_AUTH_MODE", "disabled")],
)
def test_where_the_person_has_decided_nothing_is_made(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    keep_token_to_oneself()
    assert not any(home.iterdir())


# Prints where the processes of a local runtime listen, after they have had time to begin.
LISTEN = """
import time
import psutil
import ray
from orchestrator.nodes import cluster
with cluster.connected(None, 1):
    where = ray.remote(lambda: ray.util.get_node_ip_address())
    print("worker at", ray.get(where.remote()))
    time.sleep(8)
    us = psutil.Process()
    for process in (us, *us.children(recursive=True)):
        for connection in process.net_connections("inet"):
            if connection.status == "LISTEN":
                print(connection.laddr.ip, process.name())
"""


@pytest.mark.ray
def test_a_run_of_one_machine_listens_on_its_loopback_alone(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LISTEN], cwd=home, capture_output=True, text=True, timeout=200,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    worker, *listening = done.stdout.splitlines()
    assert worker == "worker at 127.0.0.1"
    assert len(listening) > 4
    own = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}  # the last is IPv6's name of the first
    assert {line.split()[0] for line in listening} <= own, listening
    assert mode(home / ".ray" / "auth_token") == 0o600
