"""Whose something is, and who may put something of theirs in its place."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from orchestrator.nodes.owners import foreign, listeners, replaceable
from tests.orchestrator.strangers import UID, listening, needs_root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that everyone may enter, in one that nobody else may."""
    tmp_path.chmod(0o755)
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True, mode=0o755)
    return inner


@pytest.fixture
def open_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, as if what is above `a` were nobody's concern: pytest closes it."""
    top = folder.parent

    def from_there(path: Path) -> list[Path]:
        return [place for place in (*reversed(path.parents), path) if place.is_relative_to(top)]

    monkeypatch.setattr("orchestrator.nodes.owners._from_the_top", from_there)
    return folder


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
def test_a_folder_in_which_others_may_rename(open_way: Path, mode: int) -> None:
    assert replaceable(open_way) == ""
    open_way.parent.chmod(mode)
    seen = f"{open_way.parent} is open to other users (mode {mode:04o})"
    assert replaceable(open_way) == replaceable(open_way.parent) == seen
    open_way.parent.chmod(0o1777)  # as /tmp: everyone renames what is theirs
    assert replaceable(open_way) == ""


def test_behind_a_closed_door_all_may_be_open(open_way: Path) -> None:
    """The mode of Ray's folders."""
    open_way.chmod(0o777)
    assert "mode 0777" in replaceable(open_way)
    open_way.parent.chmod(0o700)
    assert replaceable(open_way) == ""
    open_way.parent.chmod(0o766)  # may be read and written, not entered
    assert replaceable(open_way) == ""


@needs_root
def test_what_belongs_to_somebody_else(folder: Path) -> None:
    assert foreign(folder) == replaceable(folder) == ""
    os.chown(folder.parent, UID, UID)
    seen = f"{folder.parent} belongs to another user (uid {UID})"
    assert foreign(folder) == replaceable(folder) == seen
    os.chown(folder.parent, 0, 0)
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert foreign(link) == ""
    os.lchown(link, UID, UID)
    assert foreign(link) == f"{link} belongs to another user (uid {UID})"


def test_what_is_not_there(tmp_path: Path) -> None:
    for look in (foreign, replaceable):
        with pytest.raises(FileNotFoundError):
            look(tmp_path / "nothing")


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_sockets_of_our_own(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        server = socket.create_server((address, 0), family=family)
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        port = server.getsockname()[1]
        host = "::1" if address == "::1" else "127.0.0.1"
        assert listeners(host, port) == {os.geteuid()}
        assert listeners("192.0.2.1", port) == set(), "an address of no machine"
        assert listeners("no such name", port) == set()
    assert listeners(host, port) == set()


@needs_root
def test_sockets_of_another_user() -> None:
    with listening([]) as port:
        assert listeners("127.0.0.1", port) == listeners("localhost", port) == {UID}
