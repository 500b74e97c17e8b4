"""The folder in which Ray keeps what belongs to a local run: nobody else may enter, and it goes.

Ray opens its own folders to all users of a machine (mode 0777), sockets, runtime environments and
logs among them. Inside a folder that others may not enter they are reached by nobody else.
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
TOKEN, RAYS = "token", "ray"  # all that is in a base; the second one is Ray's RAY_TMPDIR/ray
# The kernel's limit for a socket's path, and the longest that Ray makes below RAY_TMPDIR.
SOCKET = 107
LONGEST = "/ray/session_2026-01-31_23-59-59_999999_4194304/sockets/dash_MetricsHead"
ROOM = 2 * 2**30  # bytes that logs and spilled objects may want
GOING = 5.0  # seconds that Ray's last processes may take to let go of their files
# Disks of other machines: slow for what is mapped, and not all of them take sockets.
REMOTE = re.compile(
    r"nfs\d?|cifs|smb\d?|9p|afs|lustre|gpfs|beegfs|ceph|panfs|pvfs2|orangefs|wekafs"
    r"|fuse\.(sshfs|glusterfs|ceph-fuse|s3fs|gcsfuse|rclone)"
)


@contextmanager
def private_session() -> Iterator[Path]:
    """Within it a local Ray runtime that begins is nobody else's: its folder, and its token.

    The token is made for this runtime and stands in a file of that folder. Whatever the person has,
    a token of their own or none at all, is neither used nor changed.

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
            "RAY_AUTH_TOKEN": None,  # which would have precedence
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
    """The folder for the bases of local runs: RAY_TMPDIR, or the first that is fit of others.

    Raises:
        UsageError: none is fit; the reason is named.
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
    """Why a folder takes no base; empty where it does."""
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
    """What kind of disk a folder is on, as `mount` names it; empty where it is not told."""
    number = folder.stat().st_dev
    with open("/proc/self/mountinfo") as file:
        for line in file:
            fields, _, more = line.partition(" - ")
            if fields.split()[2] == f"{os.major(number)}:{os.minor(number)}":
                return more.split()[0]
    return ""


@contextmanager
def _base(root: Path) -> Iterator[Path]:
    """A new folder below `root`, held while the block lasts, and then removed with all in it."""
    clear_abandoned(root)
    base, held = _make(root)
    try:
        yield base
    finally:
        until = time.monotonic() + GOING
        shutil.rmtree(base, ignore_errors=True)
        while base.exists() and time.monotonic() < until:  # a process may still add to a folder
            time.sleep(0.02)
            shutil.rmtree(base, ignore_errors=True)
        os.close(held)


def _make(root: Path) -> tuple[Path, int]:
    """A base, and the handle by which it is held: the kernel lets go of it when we end."""
    while True:
        base = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))  # mode 0700, a name not there before
        with suppress(FileNotFoundError):  # another run took it for abandoned before it was held
            held = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            fcntl.flock(held, fcntl.LOCK_EX)
            if base.exists():
                return base, held
            os.close(held)


def clear_abandoned(root: Path) -> None:
    """Removes bases whose runs were killed or ended at once, and are over with all their processes.

    Only what is certainly such a base: by name, owner, mode and content, and not held.
    """
    for base in root.glob(f"{PREFIX}*"):
        if not OURS.fullmatch(base.name):
            continue
        with suppress(OSError):  # somebody else's, a link, no folder, or gone
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
    """Whether a process of ours was begun for a base, or has a file of it open."""
    own = f"{base}/".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # another user's, or over
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
