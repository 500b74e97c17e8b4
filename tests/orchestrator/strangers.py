"""A second user of this machine, for tests that run as root: its programs, files and listeners."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
UID = 54321  # nobody's
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")

# Listens at a port, and writes what it receives to stdout. It needs no file of another user.
LISTENER = """
import socket, sys
with socket.create_server(("0.0.0.0", int(sys.argv[1]))) as server:
    print(server.getsockname()[1], flush=True)
    while True:
        one, _ = server.accept()
        one.settimeout(3)
        try:
            print(one.recv(65536), flush=True)
        except TimeoutError:
            print(b"", flush=True)
"""


def as_stranger(command: Sequence[str], **more: Any) -> subprocess.Popen[str]:
    """Starts a program as another user."""
    return subprocess.Popen(
        command, user=UID, group=UID, extra_groups=[], cwd="/", text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **more,
    )  # fmt: skip


@contextmanager
def listening(heard: list[bytes], port: int = 0) -> Iterator[int]:
    """The port at which another user listens; what it receives is in `heard` afterwards."""
    # the system's Python: other users may not be able to enter the tests' own
    process = as_stranger(["/usr/bin/env", "python3", "-c", LISTENER, str(port)])
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        with process.stdout as said:
            heard += [line.encode() for line in said.read().splitlines() if line != "b''"]
        process.wait()


@contextmanager
def pretending(head: str, session: Path) -> Iterator[int]:
    """A process of another user that looks like a raylet; gives its pid."""
    # `python3 -c CODE FLAGS`: flags that Python does not know go to the program, which sleeps
    sleeping = "import time; time.sleep(600)"
    flags = f"--gcs-address={head} --session_dir={session}"
    process = as_stranger(["bash", "-c", f"exec -a raylet python3 -c '{sleeping}' {flags}"])
    while "raylet" not in Path(f"/proc/{process.pid}/cmdline").read_text().split("\0")[0]:
        time.sleep(0.01)
    try:
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def attack(
    paths: Sequence[str] = (),
    results: Sequence[str] = (),
    processes: Sequence[int] = (),
    ports: Sequence[int] = (),
    tokens: Sequence[str | None] = (None, "00" * 32),
    calls: Sequence[str] = (),
    uid: int = UID,
) -> list[str]:
    """What another user achieves; with all methods of Ray's processes, unless some are named."""
    asked = {
        "uid": uid, "paths": list(paths), "results": list(results), "processes": list(processes),
        "ports": list(ports), "tokens": list(tokens), "calls": list(calls),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("stranger.py"))], input=json.dumps(asked),
        text=True, capture_output=True, timeout=400, start_new_session=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()
