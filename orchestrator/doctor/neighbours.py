"""Checks what other users of this machine could read, change or receive of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from orchestrator.doctor.finding import Finding, judged
from orchestrator.interface.errors import UsageError
from orchestrator.nodes import authentication, ray_internals
from orchestrator.nodes.owners import is_trusted, listeners
from orchestrator.nodes.private_base import place

# Where `ray start` puts the head, the dashboard and the server for Ray clients.
PORTS = {6379: "--port", 8265: "--dashboard-port", 10001: "--ray-client-server-port"}
OWN_FOLDER = "start Ray in a folder that only you may enter (RAY_TMPDIR, docs/cluster.md)"


def look_at_neighbours(run: Path) -> list[Finding]:
    """All checks that need no Ray."""
    return [base(), *address_file(), *clusters(), *ports(), *results(run)]


def base() -> Finding:
    """Checks where a local run would keep its sockets, its token and its logs."""
    try:
        folder = place(os.environ)
    except UsageError as error:
        return Finding("bad", "Ray's files", str(error))
    return Finding("good", "Ray's files", f"of a local run, below {folder} and closed to others")


def address_file() -> list[Finding]:
    """Checks whether another user decides where `--address auto` leads."""
    try:
        authentication.written_by_us(ray_internals.address_file())
    except UsageError as error:
        return [Finding("bad", "address", str(error))]
    return []


def clusters() -> list[Finding]:
    """Checks the clusters of which we run a node on this machine."""
    ours = [raylet for raylet in ray_internals.raylets_here() if is_trusted(raylet.uid)]
    return [session(f"cluster {raylet.head}", raylet.session) for raylet in ours]


def session(what: str, folder: Path) -> Finding:
    """Checks whether others reach a node's files, and so could make it run their programs."""
    why = authentication.open_session(folder)
    return judged(not why, what, why or f"{folder} is closed to other users", OWN_FOLDER)


def ports() -> Iterator[Finding]:
    """Checks for other users' listeners on ports at which one of ours is expected."""
    for port, flag in PORTS.items():
        others = sorted(uid for uid in listeners("127.0.0.1", port) if not is_trusted(uid))
        if others:
            yield Finding(
                "note", f"port {port}", f"is another user's (uid {others[0]}), who gets what you"
                " send there, your token as well", f"`ray start {flag}` with one of your own",
            )  # fmt: skip


def results(run: Path) -> list[Finding]:
    """Checks who else may change a run: users who may write there, or own folders in it."""
    found = []
    for folder in _folders_of(run):
        state = folder.lstat()
        if state.st_mode & 0o002:
            seen = f"every user may write into {folder}, and change its results"
            found.append(Finding("bad", "run directory", seen, f"chmod o-w {folder}"))
        if not is_trusted(state.st_uid):
            seen = f"{folder} belongs to another user (uid {state.st_uid}), who can change it"
            found.append(Finding("note", "run directory", seen, "trust it as much as its owner"))
    return found


def _folders_of(run: Path) -> list[Path]:
    """A run directory and its folders; none if it cannot be read, which another check reports."""
    try:
        return [run, *sorted(path for path in run.iterdir() if path.is_dir())]
    except (OSError, ValueError):
        return []
