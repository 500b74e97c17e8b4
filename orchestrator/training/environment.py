"""The environment of a training: what its result may depend on besides its specification.

Torch is imported by its functions, as the driver asks for versions alone and needs no torch.
"""

from __future__ import annotations

import json
import platform
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from trainables.kernels import library

PACKAGES = ("elemgrid", "torch", "numpy", "ray", "pymatgen", "scikit-learn", "pyarrow")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, those that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):  # an extra
            found[name] = version(name)
    return found


def environment(device: str) -> dict[str, Any]:
    """The columns of a record on where its model is trained (`ENVIRONMENT`).

    Args:
        device: "cpu" or "cuda".
    """
    import torch

    return {
        "device": _device_name(device),
        "kernels": library.build() if device == "cpu" else library.NONE,
        "threads": torch.get_num_threads(),
        "versions": _versions(),
    }


@cache  # as packages' metadata are parsed at each call
def _versions() -> str:
    return json.dumps(versions())


@cache
def _device_name(device: str) -> str:
    import torch

    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"cpu ({platform.machine()}, {torch.backends.cpu.get_cpu_capability()})"
