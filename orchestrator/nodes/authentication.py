"""Authentication: connects to no process of another user, and sends no token to one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import grpc

from orchestrator.interface.errors import UsageError
from orchestrator.nodes import ray_internals
from orchestrator.nodes.owners import addresses, foreign, is_trusted, listeners, replaceable

SECONDS = 5.0
LONGEST_ADDRESS = 300  # bytes


def takes_strangers(address: str) -> bool:
    """Whether the head at `address` accepts connections without a token."""
    with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            ray_internals.ask_head_whether_alive(channel, SECONDS)
        except grpc.RpcError:  # it asks for a token or a certificate, or is no head at all
            return False  # it wants a token or a certificate, or is no head at all
    return True


def head_of_ours() -> str | None:
    """Resolves `--address auto`: RAY_ADDRESS, else the cluster that we started on this machine.

    Raises:
        UsageError: the address may have been written by another user, or is ambiguous.
    """
    named = os.environ.get("RAY_ADDRESS") or "auto"
    if named != "auto":
        return None if named == "local" else named
    file = ray_internals.address_file()
    if (written := written_by_us(file)) is not None:
        host, port = split(written)
        if (why := replaceable(file.parent)) and not listeners(host, port):
            raise UsageError(
                f"--address auto: {why}, so that the address in {file.name} may be anybody's; give"
                " HOST:PORT, or start Ray in a folder of your own (docs/cluster.md)"
            )
        return written
    heads = {raylet.head for raylet in ray_internals.raylets_here() if is_trusted(raylet.uid)}
    if len(heads) > 1:
        raise UsageError(f"--address auto: there are {', '.join(sorted(heads))}; give one of them")
    return next(iter(heads), None)


def written_by_us(file: Path) -> str | None:
    """Reads an address file; None if there is none.

    Raises:
        UsageError: it belongs to another user, or holds no address.
    """
    fix = "give HOST:PORT, or the RAY_TMPDIR of your own `ray start` (docs/cluster.md)"
    try:
        if theirs := foreign(file):
            raise UsageError(f"--address auto: {theirs}; {fix}")
        # No link or pipe (opening one would block) can be swapped in meanwhile.
        handle = os.open(file.resolve(), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"--address auto: {file}: {error.strerror}; {fix}") from None
    with open(handle, "rb") as opened:
        found = os.fstat(handle)
        if not (stat.S_ISREG(found.st_mode) and is_trusted(found.st_uid)):
            raise UsageError(f"--address auto: {file} is no file of yours; {fix}")
        written = opened.read(LONGEST_ADDRESS).decode(errors="replace").strip()
    try:
        split(written)
    except ValueError:
        raise UsageError(f"--address auto: {file} holds no address; {fix}") from None
    return written


def split(address: str) -> tuple[str, int]:
    """Splits an address into host and port.

    Raises:
        ValueError: it has no port.
    """
    host, _, port = address.rpartition(":")
    if not host:
        raise ValueError(f"no HOST:PORT: {address!r}")
    return host.strip("[]"), int(port)


def demand_head_of_ours(address: str, host: str, port: int) -> None:
    """Refuses a head on this machine that another user runs, who would receive the token.

    Raises:
        UsageError: another user runs it.
    """
    others = {uid for uid in listeners(host, port) if not is_trusted(uid)}
    if others:
        raise UsageError(
            f"--address {address}: what listens at {host}:{port} belongs to another user of this"
            f" machine (uid {min(others)}), who would be sent your token; give the address of your"
            " own cluster"
        )


def demand_node_of_ours(address: str, host: str, port: int) -> str:
    """Refuses a node on this machine whose process or folders belong to another user.

    Returns:
        Which of its folders are open to other users, if the node is ours; else "".

    Raises:
        UsageError: something belongs to another user.
    """
    here = [raylet for raylet in ray_internals.raylets_here() if _at(raylet.head, host, port)]
    ours = [raylet for raylet in here if is_trusted(raylet.uid)]
    if here and not ours:  # next to a node of ours, other users may claim anything
        raise UsageError(
            f"--address {address}: its node on this machine belongs to another user"
            f" (uid {here[0].uid}); start one of your own (docs/cluster.md)"
        )
    for raylet in ours:
        theirs = session_of_others(raylet.session)
        if theirs:
            raise UsageError(
                f"--address {address}: {theirs}, and your node keeps its files there; start it in"
                " a folder of your own (docs/cluster.md)"
            )
    return next((why for raylet in ours if (why := open_session(raylet.session))), "")


def session_of_others(session: Path) -> str:
    """The parts of a node's folder and sockets that belong to another user; "" if none do."""
    try:
        sockets = list((session / "sockets").iterdir())
        return next((why for path in (session, *sockets) if (why := foreign(path))), "")
    except OSError as error:
        return f"{session}: {error.strerror}"


def open_session(session: Path) -> str:
    """Why other users could change a node's session folder; "" if they cannot."""
    try:
        return replaceable(session)
    except OSError as error:
        return f"{session}: {error.strerror}"


def _at(head: str, host: str, port: int) -> bool:
    """Whether two addresses of a head are the same."""
    try:
        other, its_port = split(head)
    except ValueError:
        return False
    return its_port == port and bool(addresses(other) & addresses(host))
