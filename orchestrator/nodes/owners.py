"""Who owns a folder, a file or a listening socket of this machine, and who else can change it."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

LISTENS = "0A"  # a state in /proc/net/tcp
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_trusted(uid: int) -> bool:
    """Whether a user is ourselves, or root, who can do anything anyway."""
    return uid in {0, os.geteuid()}


def foreign(path: Path) -> str:
    """Names the part of a path, or folder above it, that belongs to another user; "" if none does.

    Raises:
        OSError: the path does not exist.
    """
    for place in (*_from_the_top(path.absolute()), *_from_the_top(path.resolve(strict=True))):
        owner = place.lstat().st_uid
        if not (is_trusted(owner) or _hidden_owner(owner)):
            return f"{place} belongs to another user (uid {owner})"
    return ""


def replaceable(folder: Path) -> str:
    """Why other users could replace the content of a folder; "" if they cannot.

    They can if they own a folder of its path, or may rename what is in one, unless a folder
    further up lets nobody else pass.

    Raises:
        OSError: the folder does not exist.
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
    """Whether a user namespace, as in a rootless container, hides the owner of something."""
    with open("/proc/sys/kernel/overflowuid") as file:
        hidden = int(file.read())
    with open("/proc/self/uid_map") as file:
        whole = any(line.split() == ["0", "0", "4294967295"] for line in file)
    return uid == hidden and not whole


def listeners(host: str, port: int) -> set[int]:
    """Users who listen at a port of this machine; none for an address of another one.

    The kernel lists each socket, for everyone. A port published by a container is served by no
    socket that is visible here.
    """
    ours = {address for address in addresses(host) if _is_here(address)}
    return {
        uid
        for address, bound, uid in _sockets()
        if bound == port and ours and (address in ours or address.is_unspecified)
    }


def addresses(host: str) -> set[Address]:
    """The addresses to which a name resolves; empty if it does not."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {_plain(ipaddress.ip_address(str(info[4][0]).partition("%")[0])) for info in found}


def _is_here(address: Address) -> bool:
    """Whether an address belongs to this machine: only such an address can be bound."""
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
                # words of 32 bits in this machine's byte order
                words = (int(address[at : at + 8], 16) for at in range(0, len(address), 8))
                packed = b"".join(struct.pack("=I", word) for word in words)
                yield _plain(ipaddress.ip_address(packed)), int(port, 16), int(row[7])


def _plain(address: Address) -> Address:
    """An IPv4-mapped IPv6 address as IPv4; other addresses unchanged."""
    return getattr(address, "ipv4_mapped", None) or address
