"""One driver at a time: the lock of a run directory, and what holds where it is removed or no lock.

The lock is the kernel's, on `.lock`: it goes when the process does, however that ends, and what the
process has started does not inherit it. Beside it the file names its holder and a random token, and
the holder touches it every two seconds. So a driver whose file was removed or taken over ends, its
workers record nothing more, and where the file system shares no locks between machines, the second
driver sees that the first one lives.
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

BEAT = 2.0  # seconds between two touches of a holder, who also looks then whether it still is that
SILENCE = 3 * BEAT  # without a touch, a holder on another machine is dead
# A file system that has no locks says so in one of these ways.
LOCKLESS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)
HOLDER = re.compile(r"(pid (\d+) on .*?)(?:\ntoken ([0-9a-f]+) machine (\S+)\n)?", re.DOTALL)
STATUS = 2  # of a driver that has lost its lease, as of a disk that fails


class Fenced(OSError):
    """Another driver has the run directory now: what a worker of this one made is not recorded."""


@contextmanager
def held(run: Path) -> Iterator[str]:
    """Holds a folder, which is made, and gone again if nothing is left in it at the end.

    Gives the token of the lease.

    Raises:
        UsageError: another driver works in it, who is named by host and pid, or has taken it; or
            the folder is not ours (`demand_ours`).
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
            watch.join(SILENCE)  # longer only where the disk does not answer
            # What ended the job, a full disk for one, is to be told and not what it means here.
            with suppress(OSError):
                if durable.same(file, run / LOCK) and token.encode() in os.pread(file, 1000, 0):
                    os.ftruncate(file, len(MARK))
                    if fresh:
                        ownership.remove_beginnings(run, made)


def demand(run: Path, token: str) -> None:
    """Raises Fenced where the lease with this token is not that of a run directory any more."""
    path = run / LOCK
    try:
        if token.encode() in path.read_bytes():
            return
        why = "another driver has taken it"
    except FileNotFoundError:
        why = "it was removed"
    raise Fenced(errno.ESTALE, f"{why} while this driver held it", str(path))


def lock_byte(file: int, byte: int, until: float) -> None:
    """Waits for a byte of an open file, where its file system has locks, but no longer than till a
    time on the monotonic clock.
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
    """The lock's file, open as long as `stack`, its lock ours; the folders that we have made,
    innermost first; and whether no job has been in it.
    """
    while True:
        fresh = not ownership.is_run(run)
        made = durable.make_folder(run)
        with ExitStack() as own:
            # No link: what it leads to would be overwritten.
            file = os.open(run / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
            own.callback(os.close, file)
            _take(run, file)
            # A driver that was refused removes its folder: then this lock is of a file that nobody
            # else will find any more.
            if durable.same(file, run / LOCK):
                demand_ours(run)  # again: who has it has it alone
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
    """Whether a holder that has not let go may be at work, though the lock was to be had."""
    found = _holder(content)
    if found is None or found[3] is None:
        return False
    if found[4] != _machine():
        return True
    # On one machine the kernel's word is enough, but for a file system without locks.
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
    """Whether somebody touches a file; opened each time, or a remote one would seem unchanged."""

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
    """What tells this machine, since it was started, from all others; containers share it."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return platform.node() or "unknown"


def _watch(run: Path, folder: Path, token: str, over: threading.Event) -> None:
    """Touches the lock, and ends the process when it is not ours any more.

    At once, before a model more is begun: what is recorded is whole, and what else there is
    goes when the next run begins, as after a kill.
    """
    while not over.wait(BEAT):
        try:
            demand(folder, token)
        except Fenced as error:
            if not over.is_set():
                print("error:", _lost(run, error), file=sys.stderr, flush=True)
                os._exit(STATUS)
        except OSError:
            continue  # a disk that does not answer now may do so again
        else:
            with suppress(OSError):
                os.utime(folder / LOCK)
