"""Loaded by every Python process of a fault test, because its folder is on PYTHONPATH.

Python calls an audit hook before each file is opened, renamed, linked or removed, and elemgrid
raises an audit event before a training, a block of crystals or a sum starts. The hook logs events
in the test's folder; where a fault is armed for a point, the process ends there, or gets an error.
The product contains no code for this.
"""

import contextlib
import errno
import fnmatch
import json
import os
import signal
import sys
import threading
import time

FOLDER = os.environ.get("ELEMGRID_FAULTS", "")  # armed faults, and the log
WATCHED = os.environ.get("ELEMGRID_FAULTS_BELOW", "")  # where the runs are
FILES = {"open": 0, "os.rename": 1, "os.link": 1, "os.remove": 0}  # event: place of the file
OWN = "elemgrid."

_inside = threading.local()


def _told(event: str, args: tuple[object, ...]) -> None:
    if event in FILES:
        name = args[FILES[event]]
        if not isinstance(name, (str, bytes, os.PathLike)):
            return
        about = os.fsdecode(name)
        if not about.startswith(WATCHED) or (event == "open" and not _writes(args, about)):
            return
    elif event.startswith(OWN):
        about = " ".join(map(str, args))
    else:
        return
    if getattr(_inside, "hook", False):
        return
    _inside.hook = True
    try:
        _note(event, about)
        fault = _taken(event, about)
    finally:
        _inside.hook = False
    if fault is not None:
        _strike(fault)


def _writes(args: tuple[object, ...], name: str) -> bool:
    """Whether a file is opened for writing, or a folder is opened for syncing after a rename."""
    flags = args[2] if isinstance(args[2], int) else 0
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) or os.path.isdir(name)


def _role() -> str:
    return "worker" if sys.argv and "default_worker" in sys.argv[0] else "driver"


def _note(event: str, about: str) -> None:
    line = json.dumps([time.time(), os.getpid(), _role(), event, about]) + "\n"
    log = os.open(f"{FOLDER}/events.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(log, line.encode())
    os.close(log)


def _taken(event: str, about: str) -> dict[str, str] | None:
    """Takes the fault that is armed for this point, so that no other process does."""
    for name in sorted(os.listdir(FOLDER)):
        if not name.endswith(".armed"):
            continue
        with contextlib.suppress(OSError):  # another process may take it at the same time
            with open(f"{FOLDER}/{name}") as file:
                fault = json.load(file)
            fits = fault["event"] == event and fault.get("role", _role()) == _role()
            if fits and fnmatch.fnmatch(about, fault["about"]):
                if not fault.get("always"):
                    fault["struck"] = f"{FOLDER}/{name}.{os.getpid()}.struck"
                    os.rename(f"{FOLDER}/{name}", fault["struck"])
                return fault | {"of": about}
    return None


def _strike(fault: dict[str, str]) -> None:
    how = fault["how"]
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "raise":
        raise RuntimeError("armed to raise")
    elif how == "eat":
        eaten = []
        for _ in range(int(fault["gib"]) * 16):
            eaten.append(b"\1" * 2**26)
            time.sleep(0.02)
    elif how == "refuse":  # as a disk that is full
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), fault["of"])
    elif how == "wait":
        time.sleep(float(fault["seconds"]))
    elif how == "hold":  # until the test takes the file away
        while os.path.exists(fault["struck"]):
            time.sleep(0.05)


if FOLDER:
    sys.addaudithook(_told)
