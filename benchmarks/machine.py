"""The machine and package versions of a benchmark."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("elemgrid", "torch", "numpy", "scipy", "scikit-learn", "pyarrow", "pymatgen", "ray")
GIB = 2**30


def hardware() -> dict[str, Any]:
    """Processor, cores that this process may use, memory in GiB, graphics card (or None)."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": os.environ.get("OMP_NUM_THREADS", "unset"),
        "memory_gib": round(memory / GIB, 1),
        "gpu": _gpu(),
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.M) if info.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def _gpu() -> str | None:
    import torch  # here: benchmarks of orchestration and featurising do not need it

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def versions() -> dict[str, str]:
    """Versions of Python and of the installed `PACKAGES`."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a GPU machine has neither Ray nor pymatgen
            continue
    return found
