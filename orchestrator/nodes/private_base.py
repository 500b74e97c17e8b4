"""The temporary folder of a local Ray runtime, closed to other users and removed at the end.

Ray opens its own folders to all users of a machine (mode 0777), including sockets, runtime
environments and logs. Inside a folder that others may not enter, nobody else reaches them.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator.interface.errors import UsageError
from orchestrator.nodes import ray_internals
from orchestrator.nodes.owners import replaceable

PREFIX = "eg-"  # short, as every socket's path begins with the base
OURS = re.compile(rf"{PREFIX}[a-z0-9_]{{8}}")  # as `tempfile` names folders
TOKEN, RAYS = "token", "ray"  # the content of a base; the second one is Ray's RAY_TMPDIR/ray
# The kernel's limit for a socket's path, and the longest one that Ray makes below RAY_TMPDIR.
SOCKET = 107
LONGEST = "/ray/session_2026-01-31_23-59-59_999999_4194304/sockets/dash_MetricsHead"
ROOM = 2 * 2**30  # bytes that logs and spilled objects may need
GOING = 5.0  # seconds that Ray's last processes may take to close their files
# Network file systems: slow for memory-mapped files, and not all of them take sockets.
REMOTE = re.compile(
    r"nfs\d?|cifs|smb\d?|9p|afs|lustre|gpfs|beegfs|ceph|panfs|pvfs2|orangefs|wekafs"
    r"|fuse\.(sshfs|glusterfs|ceph-fuse|s3fs|gcsfuse|rclone)"
)


@contextmanager
def private_session() -> Iterator[Path]:
    """Makes a local Ray runtime that starts within this context private: its folder and its token.

    The token is generated for this runtime and stored in that folder. A token that the user has
    is neither used nor changed.

    Raises:
        UsageError: there is no place for the folder.
    """
    with _base(place(os.environ)) as base:
        token = base / TOKEN
        with os.fdopen(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
            new.write(secrets.token_hex(32))
        session = {
            "RAY_TMPDIR": str(base),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_AUTH_TOKEN": None,  # would have precedence
        }
        before = {name: os.environ.get(name) for name in session}
        _set(session)
        ray_internals.read_token_anew()
        try:
            yield base
        finally:
            _set(before)
            ray_internals.read_token_anew()


def _set(environment: Mapping[str, str | None]) -> None:
    for name, value in environment.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def place(environment: Mapping[str, str]) -> Path:
    """The parent folder for bases of local runs: RAY_TMPDIR, or the first suitable default.

    Raises:
        UsageError: none is suitable; the reason is given.
    """
    if named := environment.get("RAY_TMPDIR"):
        if why := unfit(Path(named)):
            raise UsageError(f"RAY_TMPDIR: {why}; name another folder of this machine")
        return Path(named).resolve()
    others = dict.fromkeys((environment.get("TMPDIR") or "/tmp", "/tmp", "/var/tmp"))
    reasons = {Path(other): unfit(Path(other)) for other in others}
    fit = [folder.resolve() for folder, why in reasons.items() if not why]
    if not fit:
        raise UsageError(
            f"no folder for Ray's files: {'; '.join(reasons.values())}; name one in RAY_TMPDIR"
        )
    free = {folder: shutil.disk_usage(folder).free for folder in fit}
    return next((folder for folder in fit if free[folder] >= ROOM), max(fit, key=free.__getitem__))


def unfit(folder: Path) -> str:
    """Why a folder cannot hold a base; "" if it can."""
    try:
        real = folder.resolve(strict=True)
        why = replaceable(folder)
    except OSError as error:
        return f"{folder}: {error.strerror or error}"
    longest = len(os.fsencode(real)) + len(f"/{PREFIX}12345678{LONGEST}")
    if longest > SOCKET:
        most = SOCKET - longest + len(os.fsencode(real))
        return f"{real} is too long for Ray's sockets, which leave it {most} bytes"
    if why:
        return why
    if not (real.is_dir() and os.access(real, os.W_OK | os.X_OK)):
        return f"{real} is no folder that can be written"
    if REMOTE.fullmatch(kind := _file_system(real)):
        return f"{real} is on a disk of another machine ({kind})"
    return ""


def _file_system(folder: Path) -> str:
    """The type of file system of a folder, as `mount` names it; "" if unknown."""
    number = folder.stat().st_dev
    with open("/proc/self/mountinfo") as file:
        for line in file:
            fields, _, more = line.partition(" - ")
            if fields.split()[2] == f"{os.major(number)}:{os.minor(number)}":
                return more.split()[0]
    return ""


@contextmanager
def _base(root: Path) -> Iterator[Path]:
    """A new folder below `root`, held open in this context and then removed with its content."""
    clear_abandoned(root)
    base, held = _make(root)
    try:
        yield base
    finally:
        until = time.monotonic() + GOING
        shutil.rmtree(base, ignore_errors=True)
        while base.exists() and time.monotonic() < until:  # a process may still write to it
            time.sleep(0.02)
            shutil.rmtree(base, ignore_errors=True)
        os.close(held)


def _make(root: Path) -> tuple[Path, int]:
    """A base, and the handle by which it is locked; the kernel releases it when we end."""
    while True:
        base = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))  # mode 0700, a new name
        with suppress(FileNotFoundError):  # another run removed it before it was locked
            held = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            fcntl.flock(held, fcntl.LOCK_EX)
            if base.exists():
                return base, held
            os.close(held)


def clear_abandoned(root: Path) -> None:
    """Removes bases of runs that were killed and whose processes have all ended.

    Removes only what is certainly such a base: by name, owner, mode and content, and not locked.
    """
    for base in root.glob(f"{PREFIX}*"):
        if not OURS.fullmatch(base.name):
            continue
        with suppress(OSError):  # another user's, a link, no folder, or gone
            folder = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if _is_abandoned(folder) and not _in_use(base):
                    shutil.rmtree(base, ignore_errors=True)
            finally:
                os.close(folder)


def _is_abandoned(folder: int) -> bool:
    found = os.fstat(folder)
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) != 0o700:
        return False
    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return set(os.listdir(folder)) <= {TOKEN, RAYS}


def _in_use(base: Path) -> bool:
    """Whether a process of ours was started for a base, or has a file of it open."""
    own = f"{base}/".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # another user's process, or one that has ended
            if own in (process / "cmdline").read_bytes():
                return True
            if process.stat().st_uid == os.geteuid():
                files = (process / "cwd", *(process / "fd").iterdir())
                if any(own in os.fsencode(_target(file)) for file in files):
                    return True
    return False


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:  # closed meanwhile
        return ""
