"""Every node of a cluster: the same software, and the run directory within its reach."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.checkup.finding import Finding, judged
from orchestrator.checkup.machine import GIB, LEAST_DISK
from orchestrator.trials import versions

SECONDS = 60.0  # that a node has to answer


@ray.remote(num_cpus=0, max_retries=0)
def _on_node(run: str, probe: str) -> dict[str, Any]:
    """What one node has: versions, room, and whether it sees the driver's probe file."""
    folder = Path(run)
    seen = (folder / probe).is_file()
    return {
        "versions": versions() | {"elemgrid": version("elemgrid")},
        "sees": seen,
        "writes": seen and os.access(folder, os.W_OK),
        "free": shutil.disk_usage(folder).free if seen else 0,
    }


def look_at_nodes(run: Path) -> list[Finding]:
    """The findings on each node of the cluster that we are connected to."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    run = run.resolve()
    fresh = not run.exists()
    run.mkdir(parents=True, exist_ok=True)
    probe = run / f".probe-{secrets.token_hex(8)}"
    probe.touch()
    try:
        asked = {
            node["NodeManagerAddress"]: _on_node.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(str(run), probe.name)
            for node in nodes
        }
        found = [finding for name, ref in asked.items() for finding in _node(name, ref, run)]
    finally:
        probe.unlink(missing_ok=True)
        if fresh:
            run.rmdir()
    return found


def _node(name: str, ref: ray.ObjectRef, run: Path) -> list[Finding]:
    what = f"node {name}"
    try:
        answer = ray.get(ref, timeout=SECONDS)
    except Exception as error:  # whatever keeps it from answering, it is the finding
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1][:160]
        return [Finding("bad", what, f"does not answer ({reason})", "look at its raylet.out")]
    found = [_same_versions(what, answer["versions"])]
    if not answer["sees"]:
        fix = "put --run on a disk that all nodes share (NFS or alike)"
        return [*found, Finding("bad", what, f"does not see {run}", fix)]
    seen = f"sees {run}, {answer['free'] / GIB:.1f} GiB free"
    enough = answer["writes"] and answer["free"] >= LEAST_DISK
    fix = "make room" if answer["writes"] else "give its user the right to write there"
    return [*found, judged(enough, what, seen, fix)]


def _same_versions(what: str, theirs: dict[str, str]) -> Finding:
    ours = versions() | {"elemgrid": version("elemgrid")}
    odd = [f"{name} {theirs.get(name)} (here {ours[name]})" for name in ours
           if theirs.get(name) != ours[name]]  # fmt: skip
    return judged(
        not odd, what, ", ".join(odd) or _short(ours, ("ray", "torch", "elemgrid")),
        "install what constraints.txt pins on every node",
    )  # fmt: skip


def _short(all_versions: dict[str, str], names: Sequence[str]) -> str:
    return ", ".join(f"{name} {all_versions[name]}" for name in names) + " as here"
