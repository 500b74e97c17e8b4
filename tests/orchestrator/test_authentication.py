"""Authentication: a job uses no head without a token, and none of another user."""

from __future__ import annotations

import io
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import grpc
import pytest
from ray.core.generated.gcs_service_pb2 import CheckAliveReply
from ray.core.generated.gcs_service_pb2_grpc import (
    NodeInfoGcsServiceServicer,
    add_NodeInfoGcsServiceServicer_to_server,
)

from orchestrator.doctor import job as doctor
from orchestrator.hybrid_grid import job as hybrid_grid
from orchestrator.interface.errors import UsageError
from orchestrator.nodes import authentication, cluster, ray_internals
from orchestrator.nodes.authentication import takes_strangers
from tests.orchestrator.strangers import UID, listening, needs_root, pretending


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
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which `ray start` writes its address."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    file = ray_internals.address_file()
    file.parent.mkdir()
    return file


def test_auto_is_what_we_started(started: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_internals, "raylets_here", list)
    assert authentication.head_of_ours() is None
    with pytest.raises(ConnectionError, match="none was started"):
        cluster._answering("auto")
    started.write_text("192.0.2.1:6379\n")
    assert authentication.head_of_ours() == "192.0.2.1:6379"
    for named, meant in (
        ("192.0.2.2:6379", "192.0.2.2:6379"),
        ("", "192.0.2.1:6379"),
        ("local", None),
    ):
        monkeypatch.setenv("RAY_ADDRESS", named)
        assert authentication.head_of_ours() == meant
    monkeypatch.setenv("RAY_ADDRESS", "ray://192.0.2.2:10001")
    with pytest.raises(UsageError, match=r"--address ray://192.0.2.2:10001: give HOST:PORT"):
        cluster._answering("auto")


def test_auto_is_the_cluster_of_a_node_of_ours(
    started: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever else runs nodes here."""
    us, heads = os.geteuid(), ["192.0.2.1:6379"]
    theirs = ray_internals.Raylet(UID, "192.0.2.9:6379", started.parent)

    def here() -> list[ray_internals.Raylet]:
        return [theirs, *(ray_internals.Raylet(us, head, started.parent) for head in heads)]

    monkeypatch.setattr(ray_internals, "raylets_here", here)
    assert authentication.head_of_ours() == "192.0.2.1:6379"
    heads.append("192.0.2.2:6379")
    with pytest.raises(UsageError, match=r"there are 192.0.2.1:6379, 192.0.2.2:6379; give one"):
        authentication.head_of_ours()
    heads.clear()
    assert authentication.head_of_ours() is None


@pytest.mark.parametrize("content", ["", "nonsense", "host:port", "x" * 5000, "\0\x1b[2J:"])
def test_an_address_file_without_an_address(started: Path, content: str) -> None:
    started.write_text(content)
    with pytest.raises(UsageError, match=f"{started} holds no address; give HOST:PORT"):
        authentication.head_of_ours()


def test_an_address_file_that_is_none(started: Path) -> None:
    os.mkfifo(started)  # to read it would take for ever
    with pytest.raises(UsageError, match=f"{started} is no file of yours"):
        authentication.head_of_ours()


def test_an_address_in_a_folder_that_is_open(
    started: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In /tmp/ray, as written by `ray start`: it is used if a process of ours listens there."""
    monkeypatch.setattr(authentication, "replaceable", lambda folder: f"{folder} is open")
    started.write_text("192.0.2.1:6379")
    with pytest.raises(UsageError, match=f"{started.parent} is open, so that .* anybody's"):
        authentication.head_of_ours()
    with socket.create_server(("127.0.0.1", 0)) as server:
        written = f"127.0.0.1:{server.getsockname()[1]}"
        started.write_text(written)
        assert authentication.head_of_ours() == written


def refused(main: Callable[[Sequence[str]], int], folder: Path, *flags: str) -> str:
    """The one line of a job that ends with status 2 before it has written anything."""
    said = io.StringIO()
    with redirect_stderr(said):
        assert main([*flags, "--run", str(folder / "run")]) == 2
    (line,) = said.getvalue().splitlines()
    assert not (folder / "run").exists()
    return line


@needs_root
def test_nothing_is_sent_to_a_head_of_another_user(
    started: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be it found in a file that they wrote, or in one of ours, or named."""
    token, heard = "ab" * 32, []
    monkeypatch.setenv("RAY_AUTH_TOKEN", token)
    with listening(heard) as port:
        address = f"127.0.0.1:{port}"
        started.write_text(address)
        os.chown(started, UID, UID)
        line = refused(hybrid_grid.main, tmp_path, "--preset", "demo", "--address", "auto")
        theirs = f"--address auto: {started} belongs to another user (uid {UID}); give HOST:PORT"
        assert line.startswith(f"error: {theirs}")
        os.chown(started, 0, 0)
        line = refused(doctor.main, tmp_path, "--address", address)
        assert line.startswith(f"error: --address {address}: what listens at ")
        belongs = f":{port} belongs to another user of this machine (uid {UID}), who would be sent"
        assert belongs in line
        with pytest.raises(UsageError, match=re.escape(belongs)):
            cluster._answering("auto")
    assert heard == []
    # What is sent is heard.
    with listening(heard) as port, socket.create_connection(("127.0.0.1", port)) as one:
        one.sendall(token.encode())
        time.sleep(1)
    assert len(heard) == 1 and token.encode() in heard[0]


@needs_root
def test_a_folder_of_another_user_in_the_place_of_ours(started: Path, tmp_path: Path) -> None:
    """Another user may have made /tmp/ray first."""
    started.write_text("127.0.0.1:6379")
    os.chown(started.parent, UID, UID)
    theirs = f"{started.parent} belongs to another user .uid {UID}.; give HOST:PORT, or the RAY"
    with pytest.raises(UsageError, match=theirs):
        authentication.head_of_ours()


@needs_root
def test_a_node_of_another_user(tmp_path: Path) -> None:
    session = tmp_path / "session_1"
    (session / "sockets").mkdir(parents=True)
    (session / "sockets" / "plasma_store").touch()
    with pretending("localhost:6379", session):
        with pytest.raises(UsageError, match=f"its node on this machine .* .uid {UID}.; start one"):
            authentication.demand_node_of_ours("x", "127.0.0.1", 6379)
        assert authentication.demand_node_of_ours("x", "127.0.0.1", 6380) == ""
        assert authentication.demand_node_of_ours("x", "192.0.2.1", 6379) == ""


def test_a_node_of_ours_in_folders_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = tmp_path / "session_1"
    socket_file = session / "sockets" / "plasma_store"
    ours = ray_internals.Raylet(os.geteuid(), "127.0.0.1:6379", session)
    theirs = ray_internals.Raylet(UID, "127.0.0.1:6379", tmp_path / "elsewhere")
    monkeypatch.setattr(ray_internals, "raylets_here", lambda: [theirs, ours])
    with pytest.raises(UsageError, match="No such file"):
        authentication.demand_node_of_ours("x", "127.0.0.1", 6379)
    socket_file.parent.mkdir(parents=True)
    socket_file.touch()
    assert authentication.demand_node_of_ours("x", "127.0.0.1", 6379) == ""
    monkeypatch.setattr(authentication, "replaceable", lambda folder: f"{folder} is open")
    assert authentication.demand_node_of_ours("x", "127.0.0.1", 6379) == f"{session} is open"
    monkeypatch.setattr(
        authentication, "foreign", lambda path: path == socket_file and f"{path} is theirs"
    )
    with pytest.raises(UsageError, match=f"{socket_file} is theirs, and your node keeps its files"):
        authentication.demand_node_of_ours("x", "127.0.0.1", 6379)


def test_a_cluster_in_open_folders_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A note in one line, as a container may have no other users."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    (tmp_path / "sockets").mkdir()
    with head(guarded=True) as port:
        address = ray_internals.canonical(f"127.0.0.1:{port}")
        ours = ray_internals.Raylet(os.geteuid(), address, tmp_path)
        monkeypatch.setattr(ray_internals, "raylets_here", lambda: [ours])
        cluster._answering(address)
        assert capsys.readouterr() == ("", "")
        monkeypatch.setattr(authentication, "replaceable", lambda folder: f"{folder} is open")
        cluster._answering(address)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path} is open: they may run programs as you on this cluster; ")
