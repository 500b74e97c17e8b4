"""Builds `kernels.cpp` for this machine's processor once, and loads it."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).with_name("kernels.cpp")
# No -ffast-math: it would let the compiler assume that a diverged model's NaN cannot be.
FLAGS = (
    *("-std=c++20", "-O3", "-march=native", "-mprefer-vector-width=512", "-fopenmp-simd"),
    *("-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC"),
)
SWITCH = "ELEMGRID_KERNELS"  # 0: do without, as where there is no compiler


@cache
def load() -> ctypes.CDLL | None:
    """The kernels, built on their first use (seconds), or None where they cannot be had.

    The built file is kept in the person's own cache folder, under a name that changes with source,
    compiler and processor, since a cluster's machines may share that folder and not the processor.
    """
    if switched_off():
        return None
    found = shutil.which(compiler())
    if found is None:
        return None
    try:
        path = _folder() / f"{_identity(found)}.so"
        if not path.exists():
            _build(found, path)
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError):
        return None


def switched_off() -> bool:
    """Whether the person wants to do without."""
    return os.environ.get(SWITCH) == "0"


def missing() -> str:
    """Why `load` gives none, for a person."""
    if switched_off():
        return f"{SWITCH}=0 switches the fused kernels off"
    return f"no C++ compiler ({compiler()}) built the fused kernels here"


def compiler() -> str:
    """The command that builds the kernels: `CXX`, or g++."""
    return os.environ.get("CXX", "g++")


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "elemgrid" / "kernels"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder}: others may write it, and what lies here is run")
    return folder


def _identity(command: str) -> str:
    release = subprocess.run(
        [command, "--version"], capture_output=True, check=True, timeout=60
    ).stdout
    parts = [SOURCE.read_bytes(), " ".join(FLAGS).encode(), release, _processor()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:24]


def _processor() -> bytes:
    with open("/proc/cpuinfo", "rb") as file:
        lines = {line for line in file if line.startswith((b"model name", b"flags", b"Features"))}
    return b"".join(sorted(lines))


def _build(command: str, path: Path) -> None:
    # Whole or not at all: several workers may start at once.
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        made = Path(scratch) / path.name
        words = [command, *FLAGS, str(SOURCE), "-o", str(made)]
        subprocess.run(words, capture_output=True, check=True, timeout=300)
        os.replace(made, path)
