"""The hardware of this machine, or of the container that the process is in."""

from __future__ import annotations

import os
import platform
from pathlib import Path

CONTROL_GROUPS = Path("/sys/fs/cgroup")
# Of the memory; the rest is Ray's object store, or the process's that has them and the data.
FOR_WORKERS = 0.7


def cpus_here(limits: Path = CONTROL_GROUPS) -> int:
    """CPUs that this process may use; at least one."""
    cpus = float(len(os.sched_getaffinity(0)))
    quota, _, period = _read(limits / "cpu.max").partition(" ")  # version 2 of control groups
    if not quota:
        quota = _read(limits / "cpu" / "cpu.cfs_quota_us")
        period = _read(limits / "cpu" / "cpu.cfs_period_us")
    if quota.isdecimal() and period.isdecimal():  # "max" and -1 are no limit
        cpus = min(cpus, int(quota) / int(period))
    return max(1, int(cpus))


def memory_here(limits: Path = CONTROL_GROUPS) -> float:
    """Bytes of memory that this process may use."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    files = (limits / "memory.max", limits / "memory" / "memory.limit_in_bytes")
    return float(min([whole, *(int(text) for text in map(_read, files) if text.isdecimal())]))


def gpus_here() -> int:
    """Number of GPUs that torch sees."""
    import torch  # here: it takes seconds to import, and most machines have no GPU to ask for

    return torch.cuda.device_count()


def processor() -> str:
    """The name of the processor."""
    lines = _read(Path("/proc/cpuinfo")).splitlines()
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
