"""Does a node reach the run directory? A file that this machine puts there, and nodes look for."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


@contextmanager
def probe_in(run: Path) -> Iterator[Path]:
    """A file of a name of its own, while the block lasts; the folder is made, and stays."""
    run.mkdir(parents=True, exist_ok=True)
    probe = run / f".probe-{secrets.token_hex(8)}.tmp"  # as `durable` names what may go
    probe.touch()
    try:
        yield probe
    finally:
        probe.unlink(missing_ok=True)


def writes_beside(probe: Path) -> bool:
    """Whether this node sees the probe and may write into its folder."""
    return probe.is_file() and os.access(probe.parent, os.W_OK)


def on_node(node: Mapping[str, Any]) -> NodeAffinitySchedulingStrategy:
    """Where a task has to run that asks one node, which is as `ray.nodes` describes it."""
    return NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
