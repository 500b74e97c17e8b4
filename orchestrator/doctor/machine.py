"""Checks of this machine: what a run needs that may be missing or short here."""

from __future__ import annotations

import os
import resource
import shutil
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from orchestrator.doctor.finding import Finding, judged
from orchestrator.doctor.neighbours import look_at_neighbours
from orchestrator.interface.errors import UsageError
from orchestrator.nodes.owners import foreign, replaceable
from orchestrator.runs.run_directory import demand_folder

GIB = 2**30
LEAST_DISK, LEAST_SHARED, LEAST_FILES = 2 * GIB, GIB, 4096
TOKEN_FILE = Path("~/.ray/auth_token")


def look_at_machine(run: Path) -> list[Finding]:
    """All checks that need no Ray."""
    return [
        python(),
        kernels(),
        disk(run),
        shared_memory(Path("/dev/shm")),
        open_files(),
        *cards(),
        *token(os.environ, token_file(os.environ)),
        *look_at_neighbours(run),
    ]


def python() -> Finding:
    """Checks the interpreter's version."""
    seen = ".".join(map(str, sys.version_info[:3]))
    return judged(sys.version_info >= (3, 11), "Python", seen, "3.11 or newer is needed")


def kernels() -> Finding:
    """Checks the fused kernels; builds them on first use."""
    from trainables.kernels import library  # here: it imports torch

    if library.switched_off():
        return Finding("note", "kernels", "switched off", "unset ELEMGRID_KERNELS to use them")
    built = bool(library.load())
    return judged(
        built, "kernels", "built" if built else library.missing(),
        "models train without them, two to three times slower; g++ builds them", "note",
    )  # fmt: skip


def disk(run: Path) -> Finding:
    """Checks free space for the run directory."""
    try:
        demand_folder(run)
    except UsageError as error:
        return Finding("bad", "run directory", str(error))
    there = next(folder for folder in (run, *run.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    seen = f"{free / GIB:.1f} GiB free in {there}"
    if not os.access(there, os.W_OK):
        return Finding("bad", "disk", f"{there} cannot be written", "name another --run")
    return judged(free >= LEAST_DISK, "disk", seen, "make room, or name another --run")


def shared_memory(folder: Path) -> Finding:
    """Checks shared memory for Ray's object store."""
    if not folder.is_dir():
        return Finding("note", "shared memory", f"no {folder}", "Ray uses /tmp, which is slower")
    free = shutil.disk_usage(folder).free
    return judged(
        free >= LEAST_SHARED, "shared memory", f"{free / GIB:.1f} GiB free in {folder}",
        "give the container more (docker run --shm-size=4g)", "note",
    )  # fmt: skip


def open_files() -> Finding:
    """Checks how many files a process may open; Ray opens many."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return judged(limit >= LEAST_FILES, "open files", f"{limit} at most", "ulimit -n 65536", "note")


def cards() -> list[Finding]:
    """Checks the GPUs that torch can use."""
    import torch

    if not torch.cuda.is_available():
        return [Finding("good", "GPUs", "none that torch can use; models train on the CPU")]
    found = []
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        name = f"GPU {number} ({torch.cuda.get_device_name(number)})"
        seen = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"
        found.append(judged(free > total / 2, name, seen, "something else runs on it", "note"))
    return found


def token_file(environment: Mapping[str, str]) -> Path:
    """Where Ray looks for the token."""
    return Path(environment.get("RAY_AUTH_TOKEN_PATH") or TOKEN_FILE).expanduser()


def token(environment: Mapping[str, str], file: Path) -> list[Finding]:
    """Checks that there is a token to authenticate to a cluster."""
    found = []
    if "RAY_AUTH_TOKEN" in environment:
        found.append(
            Finding("note", "token", "in the environment, which jobs and logs show",
                    f"put it into {file} (chmod 600)")
        )  # fmt: skip
    if not file.is_file():
        return found or [
            Finding("good", "token", "none; clusters that are not on this machine need one")
        ]
    mode = stat.S_IMODE(file.stat().st_mode)
    seen = f"{file} has mode {mode:04o}"
    found.append(judged(mode & 0o077 == 0, "token", seen, f"chmod 600 {file}"))
    if why := replaceable(file.parent) or foreign(file):
        fix = f"chmod 700 {file.parent}, and make it anew"
        found.append(Finding("bad", "token", f"may be another user's: {why}", fix))
    return found
