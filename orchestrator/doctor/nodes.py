"""Checks every node of a cluster: software, run directory, free space, GPUs and authentication."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray

from orchestrator.doctor.finding import Finding, judged
from orchestrator.doctor.machine import GIB, LEAST_DISK, cards, token, token_file
from orchestrator.doctor.neighbours import session
from orchestrator.interface.format import of_the_disk
from orchestrator.nodes import cluster, ray_internals
from orchestrator.nodes.missing import missing
from orchestrator.nodes.probe import probe_in, writes_beside
from orchestrator.training.environment import versions

SECONDS = 60.0  # for a node to answer


# One call per process: a process that asks torch for GPUs holds some of their memory until it ends.
@ray.remote(num_cpus=0, max_retries=0, max_calls=1)
def _on_node(probe: str) -> dict[str, Any]:
    """What one node has: versions, free space, and whether it sees the driver's probe file."""
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)  # Ray hides GPUs from tasks that request none
    path = Path(probe)
    seen = path.is_file()
    return {
        "versions": versions(),
        "sees": seen,
        "writes": writes_beside(path),
        "free": shutil.disk_usage(path.parent).free if seen else 0,
        "others": [
            room(ray_internals.session_folder()),
            session("Ray's files", ray_internals.session_folder()),
            *cards(),
            *token(os.environ, token_file(os.environ)),
        ],
        "guarded": os.environ.get("RAY_AUTH_MODE") == "token",
    }


def room(folder: Path) -> Finding:
    """Checks free space for Ray's logs, and for objects that do not fit into memory."""
    free = shutil.disk_usage(folder).free
    seen = f"{free / GIB:.1f} GiB free in {folder}"
    return judged(free >= LEAST_DISK, "disk", seen, "make room, or `ray start --temp-dir`")


def look_at_nodes(run: Path) -> list[Finding]:
    """The findings on each node of the cluster that we are connected to."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    run = run.resolve()
    fresh = [folder for folder in (run, *run.parents) if not folder.exists()]
    try:
        with probe_in(run) as probe:
            asked = [
                _on_node.options(scheduling_strategy=cluster.on_node(node)).remote(str(probe))
                for node in nodes
            ]
            found = [
                finding
                for node, ref in zip(nodes, asked, strict=True)
                for finding in _node(node, ref, run)
            ]
    except OSError as error:
        found = [Finding("bad", "run directory", of_the_disk(error), "name another --run")]
    finally:
        for folder in fresh:
            if folder.is_dir():
                folder.rmdir()
    return [*dashboard(cluster.dashboard()), *all_there(missing()), *found]


def all_there(gone: str) -> list[Finding]:
    """Checks whether the cluster has all nodes of its configuration."""
    fix = "`ray status` says whether they are coming; else look whether they can be reached by SSH"
    return [Finding("bad", "cluster", gone, fix)] if gone else []


def dashboard(url: str | None) -> list[Finding]:
    """Checks whether strangers reach the dashboard, whose job API runs any command."""
    if url is None:
        return []
    host = url.removeprefix("http://").rpartition(":")[0].strip("[]")
    return [
        judged(
            cluster.is_loopback(host), "dashboard", f"at {url}",
            "start the head with --dashboard-host=127.0.0.1, and reach it by `ray dashboard`",
        )
    ]  # fmt: skip


def _node(node: Mapping[str, Any], ref: ray.ObjectRef, run: Path) -> list[Finding]:
    address = node["NodeManagerAddress"]
    what = f"node {address} {node['NodeID'][:6]}"  # one machine may be several nodes
    try:
        answer = ray.get(ref, timeout=SECONDS)
    except Exception as error:  # whatever keeps it from answering is the finding
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1][:160]
        return [Finding("bad", what, f"does not answer ({reason})", "look at its raylet.out")]
    found = [
        _same_versions(what, answer["versions"]),
        guard(what, answer["guarded"]),
        *(replace(other, what=f"{what}, {other.what}") for other in answer["others"]),
    ]
    if not answer["sees"]:
        fix = "put --run on a disk that all nodes share (NFS or alike)"
        return [*found, Finding("bad", what, f"does not see {run}", fix)]
    seen = f"sees {run}, {answer['free'] / GIB:.1f} GiB free"
    enough = answer["writes"] and answer["free"] >= LEAST_DISK
    fix = "make room" if answer["writes"] else "give its user the right to write there"
    return [*found, judged(enough, what, seen, fix)]


def guard(what: str, guarded: bool) -> Finding:
    """Checks whether a node asks for the token; if not, every user of its machine controls it."""
    return judged(
        guarded, what, "RAY_AUTH_MODE=token" if guarded else "takes anyone who reaches it",
        "start it with RAY_AUTH_MODE=token (docs/cluster.md)",
    )  # fmt: skip


def _same_versions(what: str, theirs: dict[str, str]) -> Finding:
    ours = versions()
    odd = [f"{name} {theirs.get(name)} (here {ours[name]})" for name in ours
           if theirs.get(name) != ours[name]]  # fmt: skip
    return judged(
        not odd, what, ", ".join(odd) or _short(ours, ("ray", "torch", "elemgrid")),
        "install what constraints.txt pins on every node",
    )  # fmt: skip


def _short(all_versions: dict[str, str], names: Sequence[str]) -> str:
    return ", ".join(f"{name} {all_versions[name]}" for name in names) + " as here"
