"""Checks before any work that the disk of the run directory does what a run needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from orchestrator.interface.errors import UsageError
from orchestrator.nodes import storage
from orchestrator.nodes.probe import probe_in

Look = Callable[[Path], Iterator[tuple[str | None, dict[str, Any]]]]


def demand_storage(run: Path, look: Look) -> None:
    """Lets a second process, on each machine that works for the run, try its disk.

    A missing feature that the run can do without is reported in one line.

    Args:
        look: at a file that this process holds; gives what a process of each node finds, as
            `storage.look` returns it, by the node's address, which is None for this machine.

    Raises:
        UsageError: a node does not reach the folder, does not answer, or its disk fails; the line
            has its address.
    """
    answers: list[tuple[str, dict[str, Any], bool]] = []
    with probe_in(run.resolve()) as probe, storage.shown(str(probe)):
        try:
            for name, found in look(probe):
                where = "this machine" if name is None else f"node {name}"
                answers.append((where, found, os.path.exists(found["left"])))
        finally:
            for _, found, shared in answers:
                if shared:
                    os.unlink(found["left"])
    lacking: dict[str, str] = {}
    for where, found, shared in answers:
        if not found["seen"]:
            raise UsageError(
                f"--run {run}: {where} does not see it or may not write there; put it on"
                " a disk that all nodes share (NFS or alike)"
            )
        if not shared:
            why = found["fails"] or "what it writes is not seen here"
            raise UsageError(
                f"--run {run}: {where} cannot work on its disk ({why}); name a folder on a file"
                " system that renames files and makes them exclusively, and that all nodes share"
            )
        lacking |= {what: where for what in found["lacks"] if what not in lacking}
    if lacking:
        told = ", ".join(f"no {what} ({where})" for what, where in lacking.items())
        print(
            f"note: the disk of --run {run} has {told}; the run does without, for what that costs"
            " see docs/reliability.md",
            file=sys.stderr,
            flush=True,
        )
