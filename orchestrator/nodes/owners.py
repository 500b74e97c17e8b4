"""Whose a folder, a file or a listening socket of this machine is, and who else gets at it."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

LISTENS = "0A"  # a state of /proc/net/tcp
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_trusted(uid: int) -> bool:
    """Whether a user is ourselves, or the administrator, who can do anything anyway."""
    return uid in {0, os.geteuid()}


def foreign(path: Path) -> str:
    """What belongs to another user of a path and all folders above it; empty where nothing does.

    Raises:
        OSError: it is not there.
    """
    for place in (*_from_the_top(path.absolute()), *_from_the_top(path.resolve(strict=True))):
        owner = place.lstat().st_uid
        if not (is_trusted(owner) or _hidden_owner(owner)):
            return f"{place} belongs to another user (uid {owner})"
    return ""


def replaceable(folder: Path) -> str:
    """Why other users may put something of theirs in the place of what is in a folder, or no text.

    They may where something on the way is theirs, or where they may rename what is there, unless a
    folder further up lets nobody else pass.

    Raises:
        OSError: it is not there.
    """
    if theirs := foreign(folder):
        return theirs
    for place in _from_the_top(folder.resolve(strict=True)):
        mode = place.stat().st_mode
        if not mode & 0o011:
            return ""
        if mode & 0o022 and not mode & stat.S_ISVTX:
            return f"{place} is open to other users (mode {stat.S_IMODE(mode):04o})"
    return ""


def _from_the_top(path: Path) -> Iterator[Path]:
    yield from (*reversed(path.parents), path)


def _hidden_owner(uid: int) -> bool:
    """Whether a user namespace, as a container without root has it, hides whose something is."""
    with open("/proc/sys/kernel/overflowuid") as file:
        hidden = int(file.read())
    with open("/proc/self/uid_map") as file:
        whole = any(line.split() == ["0", "0", "4294967295"] for line in file)
    return uid == hidden and not whole


def listeners(host: str, port: int) -> set[int]:
    """Users who listen at a port of this machine; none for an address of another one.

    The kernel tells it of each socket, and to everyone. A port that a container publishes is served
    by no socket that is seen here.
    """
    ours = {address for address in addresses(host) if _is_here(address)}
    return {
        uid
        for address, bound, uid in _sockets()
        if bound == port and ours and (address in ours or address.is_unspecified)
    }


def addresses(host: str) -> set[Address]:
    """What a name stands for, empty where it stands for nothing."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {_plain(ipaddress.ip_address(str(info[4][0]).partition("%")[0])) for info in found}


def _is_here(address: Address) -> bool:
    """Whether an address is one of this machine: only such a one can be bound."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as trial:
        try:
            trial.bind((str(address), 0))
        except OSError:
            return False
    return True


def _sockets() -> Iterator[tuple[Address, int, int]]:
    """Address, port and user of each listening socket."""
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/net/{name}") as file:
                rows = [line.split() for line in file][1:]
        except OSError:  # without IPv6
            continue
        for row in rows:
            if row[3] == LISTENS:
                address, _, port = row[1].partition(":")
                # words of 32 bits in the order of this machine's bytes
                words = (int(address[at : at + 8], 16) for at in range(0, len(address), 8))
                packed = b"".join(struct.pack("=I", word) for word in words)
                yield _plain(ipaddress.ip_address(packed)), int(port, 16), int(row[7])


def _plain(address: Address) -> Address:
    """An IPv4 address that is written as one of IPv6, as itself."""
    return getattr(address, "ipv4_mapped", None) or address
