"""The environment of a peer."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.setup import MATGL, commands


def test_the_peer_gets_our_torch_and_keeps_it() -> None:
    made = commands(Path("peer"), "torch==9.9")
    installs = [command for command in made if "install" in command]
    assert all("torch==9.9" in command for command in installs)
    assert MATGL in installs[-1] and MATGL not in installs[0]
    assert all(command[0] == "peer/bin/python" for command in installs)
