"""Builds `kernels.cpp` for this machine's processor once, and loads it."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from trainables.private_cache import UntrustedFolderError, private_cache

SOURCE = Path(__file__).with_name("kernels.cpp")
# No -ffast-math: the compiler would assume that a diverged model's NaN cannot occur.
FLAGS = (
    *("-std=c++20", "-O3", "-march=native", "-mprefer-vector-width=512", "-fopenmp-simd"),
    *("-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC"),
)
SWITCH = "ELEMGRID_KERNELS"  # 0: do not use the kernels, as without a compiler


NONE = "none"  # the identity if there are no kernels


class NoKernelsError(Exception):
    """The kernels are not available; gives the reason."""


class Kernels(ctypes.CDLL):
    """The loaded library; `identity` is the digest of everything that it was built from and for."""

    def __init__(self, path: Path, identity: str) -> None:
        super().__init__(str(path))
        self.identity = identity


def build() -> str:
    """The kernels of this process, by the start of their identity; or `NONE`."""
    kernels = load()
    return NONE if kernels is None else kernels.identity[:12]


@cache
def load() -> Kernels | None:
    """Loads the kernels, building them on first use (seconds); None if they are not available.

    The built file is stored in a private cache folder of the user, under a name with a hash of
    source, compiler, system and processor, as the machines of a cluster may share that folder
    but differ in these, and a hash of its content: a file truncated by a power failure, or damaged,
    would crash every process that maps it. Such a file is removed and built again.
    """
    try:
        return _loaded()
    except NoKernelsError:
        return None


def switched_off() -> bool:
    """Whether the user has switched the kernels off."""
    return os.environ.get(SWITCH) == "0"


def missing() -> str:
    """Why `load` returns None, as text."""
    try:
        _loaded()
    except NoKernelsError as error:
        return str(error)
    return "the fused kernels can be had by now"


def compiler() -> str:
    """The command that builds the kernels: `CXX`, or g++."""
    return os.environ.get("CXX", "g++")


def _loaded() -> Kernels:
    if switched_off():
        raise NoKernelsError(f"{SWITCH}=0 switches the fused kernels off")
    try:
        found = shutil.which(compiler())
        if found is None:
            raise FileNotFoundError(compiler())
        identity = _identity(found)
        content: bytes | None = None
        try:
            folder = private_cache("kernels")
            kept = _kept(folder, identity)
            if kept is None:
                content = _built(found)
                kept = _keep(folder, identity, content)
            return _opened(kept, identity)
        except UntrustedFolderError as error:
            raise NoKernelsError(f"no fused kernels: {error}") from None
        except OSError:  # the cache folder is not writable: build for this process only
            return _opened_once(content or _built(found), identity)
    except (OSError, subprocess.SubprocessError):
        raise NoKernelsError(
            f"no C++ compiler ({compiler()}) built the fused kernels here"
        ) from None


def _kept(folder: Path, identity: str) -> Path | None:
    """The library that was built before; damaged files are removed."""
    for path in sorted(folder.glob(f"{identity}-*.so")):
        if path.name == _name(identity, path.read_bytes()):
            return path
        path.unlink(missing_ok=True)
    return None


def _name(identity: str, content: bytes) -> str:
    return f"{identity}-{hashlib.sha256(content).hexdigest()[:24]}.so"


def _keep(folder: Path, identity: str, content: bytes) -> Path:
    """Stores the file atomically and durably, as several workers may start at once."""
    path = folder / _name(identity, content)
    handle, draft = tempfile.mkstemp(dir=folder, prefix=".", suffix=".tmp")
    try:
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        raise
    names = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(names)
    finally:
        os.close(names)
    return path


def _opened(path: Path, identity: str) -> Kernels:
    try:
        return Kernels(path, identity)
    except OSError as error:  # the file is complete, so rebuilding would not help
        raise NoKernelsError(f"the fused kernels cannot be loaded: {error}") from None


def _opened_once(content: bytes, identity: str) -> Kernels:
    """Loads from a temporary folder that is deleted at once; a mapped file stays valid."""
    with tempfile.TemporaryDirectory(prefix="elemgrid-") as folder:
        path = Path(folder) / "kernels.so"
        path.write_bytes(content)
        return _opened(path, identity)


def _built(command: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="elemgrid-") as folder:
        made = Path(folder) / "kernels.so"
        words = [command, *FLAGS, str(SOURCE), "-o", str(made)]
        subprocess.run(words, capture_output=True, check=True, timeout=300)
        return made.read_bytes()


def _identity(command: str) -> str:
    release = subprocess.run(
        [command, "--version"], capture_output=True, check=True, timeout=60
    ).stdout
    system = " ".join(platform.libc_ver()).encode()
    parts = [SOURCE.read_bytes(), " ".join(FLAGS).encode(), release, system, _processor()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:24]


def _processor() -> bytes:
    with open("/proc/cpuinfo", "rb") as file:
        lines = {line for line in file if line.startswith((b"model name", b"flags", b"Features"))}
    return b"".join(sorted(lines))
