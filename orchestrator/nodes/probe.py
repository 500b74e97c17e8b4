"""Checks that nodes reach the run directory, by a file that this machine puts there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.nodes import storage
from orchestrator.runs.durable import name_draft
from orchestrator.runs.layout import PROBE

SECONDS = 30.0  # enough for a slow disk


@contextmanager
def probe_in(run: Path) -> Iterator[Path]:
    """A file with a unique name within this context; the folder is made if missing, and stays."""
    run.mkdir(parents=True, exist_ok=True)
    probe = name_draft(run / PROBE)
    probe.touch()
    try:
        yield probe
    finally:
        probe.unlink(missing_ok=True)


def writes_beside(probe: Path) -> bool:
    """Whether this node sees the probe and can write into its folder."""
    return probe.is_file() and os.access(probe.parent, os.W_OK)


def in_another_process(probe: Path) -> dict[str, Any]:
    """What a second process of this machine finds, as `storage.look` returns it.

    Raises:
        OSError: it did not answer in time, as on a disk that hangs.
    """
    # Isolated from site-packages and the environment, so that it starts in milliseconds.
    command = [sys.executable, "-I", "-S", storage.__file__, str(probe)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        raise OSError(f"{probe.parent}: its disk could not be tried ({error})") from None
    return found
