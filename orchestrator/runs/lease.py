"""The lease of a run directory: one driver at a time, also without reliable locks.

The lock is the kernel's, on `.lock`: it is released when the process ends, however that happens,
and child processes do not inherit it. In addition, the file names its holder and a random token,
and the holder touches it every two seconds. So a driver whose file was removed or taken over ends,
its workers record nothing more, and where the file system shares no locks between machines, a
second driver sees that the first one is alive.
"""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import re
import secrets
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

from orchestrator.interface.errors import UsageError
from orchestrator.runs import durable, ownership
from orchestrator.runs.layout import LOCK
from orchestrator.runs.ownership import MARK, demand_ours, is_lock

BEAT = 2.0  # seconds between two touches; at each, the holder checks that it still has the lease
SILENCE = 3 * BEAT  # without a touch, a holder on another machine counts as dead
# How file systems report that they have no locks.
LOCKLESS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)
HOLDER = re.compile(r"(pid (\d+) on .*?)(?:\ntoken ([0-9a-f]+) machine (\S+)\n)?", re.DOTALL)
STATUS = 2  # of a driver that has lost its lease, the same as for a failing disk


class Fenced(OSError):
    """Another driver now has the run directory, so this driver's worker records nothing."""


@contextmanager
def held(run: Path) -> Iterator[str]:
    """Holds the lease of a folder; makes the folder, and removes it if it is empty at the end.

    Yields the token of the lease.

    Raises:
        UsageError: another driver, named by host and pid, works in it or has taken it over; or the
            folder belongs to something else (`demand_ours`).
        OSError: the lock cannot be written.
    """
    with ExitStack() as stack:
        file, made, fresh = _open_and_take(run, stack)
        token = secrets.token_hex(8)
        content = MARK + f"pid {os.getpid()} on {platform.node()}\n".encode()
        content += f"token {token} machine {_machine()}\n".encode()
        os.pwrite(file, content, 0)
        os.ftruncate(file, len(content))
        over = threading.Event()
        watch = threading.Thread(target=_watch, args=[run, Path(os.path.abspath(run)), token, over])
        watch.daemon = True
        watch.start()
        try:
            yield token
            demand(run, token)
        except Fenced as error:
            raise UsageError(_lost(run, error)) from None
        finally:
            over.set()
            watch.join(SILENCE)  # waits this long only if the disk hangs
            # Report the error that ended the job, such as a full disk, not its effect here.
            with suppress(OSError):
                if durable.same(file, run / LOCK) and token.encode() in os.pread(file, 1000, 0):
                    os.ftruncate(file, len(MARK))
                    if fresh:
                        ownership.remove_beginnings(run, made)


def demand(run: Path, token: str) -> None:
    """Raises Fenced if the lease with this token is no longer that of the run directory."""
    path = run / LOCK
    try:
        if token.encode() in path.read_bytes():
            return
        why = "another driver has taken it"
    except FileNotFoundError:
        why = "it was removed"
    raise Fenced(errno.ESTALE, f"{why} while this driver held it", str(path))


def lock_byte(file: int, byte: int, until: float) -> None:
    """Waits for a lock on one byte of an open file, at most until a monotonic time.

    Returns at once where the file system has no locks.
    """
    while True:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
            return
        except OSError as error:
            if error.errno in LOCKLESS:
                return
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        if time.monotonic() > until:
            return
        time.sleep(0.01)


def _lost(run: Path, error: Fenced) -> str:
    why = f"its {LOCK} is not this driver's any more ({error.strerror})"
    return f"--run {run}: {why}; what is recorded stays"


def _open_and_take(run: Path, stack: ExitStack) -> tuple[int, Sequence[Path], bool]:
    """Opens and locks the lock file, until `stack` closes.

    Returns:
        The file; the folders that were made, innermost first; whether no job has been in the run.
    """
    while True:
        fresh = not ownership.is_run(run)
        made = durable.make_folder(run)
        with ExitStack() as own:
            # Not through a link, whose target would be overwritten.
            file = os.open(run / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
            own.callback(os.close, file)
            _take(run, file)
            # A refused driver removes its folder: the lock may be on a file that nobody else can
            # find any more.
            if durable.same(file, run / LOCK):
                demand_ours(run)  # again, now that nobody else can change it
                stack.push(own.pop_all())
                return file, made, fresh


def _take(run: Path, file: int) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        locked = True
    except BlockingIOError:
        raise UsageError(_refusal(run, file)) from None
    except OSError as error:
        if error.errno not in LOCKLESS:
            raise
        locked = False
    content = os.pread(file, 1000, 0)
    if not is_lock(content):
        raise UsageError(f"--run {run}: its {LOCK} is another program's; name another folder")
    if _may_live(content, locked) and _beats(run / LOCK):
        raise UsageError(_refusal(run, file))


def _refusal(run: Path, file: int) -> str:
    found = _holder(os.pread(file, 1000, 0))
    holder = found[1] if found else "another process"
    return f"--run {run}: {holder} is working in it; wait for it or name another folder"


def _holder(content: bytes) -> re.Match[str] | None:
    return HOLDER.fullmatch(content.removeprefix(MARK).decode(errors="replace"))


def _may_live(content: bytes, locked: bool) -> bool:
    """Whether a holder that did not release the lease may be at work, though we got the lock."""
    found = _holder(content)
    if found is None or found[3] is None:
        return False
    if found[4] != _machine():
        return True
    # On one machine the kernel's lock is proof, except on a file system without locks.
    return not locked and int(found[2]) != os.getpid() and _exists(int(found[2]))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _beats(path: Path) -> bool:
    """Whether a process touches a file; reopened each time, as network file systems cache times."""

    def touched() -> int:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_mtime_ns

    until, first = time.monotonic() + SILENCE, touched()
    while time.monotonic() < until:
        time.sleep(BEAT / 10)
        if touched() != first:
            return True
    return False


@cache
def _machine() -> str:
    """Identifies this machine since its last boot; its containers share the value."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return platform.node() or "unknown"


def _watch(run: Path, folder: Path, token: str, over: threading.Event) -> None:
    """Touches the lock, and ends the process when the lease is lost.

    It ends at once, before another model starts: recorded files are complete, and the next run
    removes the rest, as after a kill.
    """
    while not over.wait(BEAT):
        try:
            demand(folder, token)
        except Fenced as error:
            if not over.is_set():
                print("error:", _lost(run, error), file=sys.stderr, flush=True)
                os._exit(STATUS)
        except OSError:
            continue  # a disk that does not answer may recover
        else:
            with suppress(OSError):
                os.utime(folder / LOCK)
