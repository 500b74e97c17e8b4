"""Before any work: a node that takes a worker, and a run directory that all such nodes reach."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray

from orchestrator.interface.errors import UsageError
from orchestrator.nodes import cluster
from orchestrator.nodes.missing import missing
from orchestrator.nodes.probe import on_node, probe_in, writes_beside
from orchestrator.nodes.ray_internals import nodes_to_come
from orchestrator.training.worker import Worker

PATIENCE = 45.0  # seconds for a node that fits, unless the autoscaler is bringing nodes
LAUNCH = 1200.0  # seconds for nodes that the autoscaler brings: a spot machine and its image
ANSWER = 60.0  # seconds for all nodes to say what they see


def ready(worker: Worker, address: str | None, run: Path) -> int:
    """How many workers fit at once, where the job can run; says which nodes are missing.

    Raises:
        UsageError: no node takes a worker, or one that does cannot reach the run directory.
    """
    slots = cluster.worker_slots(worker.cpus, worker.gpus)
    if not slots and not cluster.is_local(address):
        slots = _await_node(worker)
    if not slots:
        raise UsageError(_lacking(worker))
    _demand_reach(run, cluster.nodes_for(worker.cpus, worker.gpus))
    if gone := missing():
        print(f"{gone}; begins without, and uses what comes later", file=sys.stderr, flush=True)
    return slots


def _lacking(worker: Worker) -> str:
    nodes = cluster.live_nodes()
    most = {name: max(node.get(name, 0) for node in nodes) for name in ("CPU", "GPU")}
    return (
        f"no node has the {worker.cpus:g} CPUs and {worker.gpus:g} GPUs that a worker is to have"
        f" (the most are {most['CPU']:g} and {most['GPU']:g}); lower --cpus-per-worker or"
        " --gpus-per-worker, or start a node that has them"
    )


@ray.remote(max_retries=0)
def _nothing() -> None:
    """Shows an autoscaler what is wanted, by waiting for it."""


def _await_node(worker: Worker) -> int:
    """Slots of the nodes that come while they are waited for; 0 where none does."""
    print("no node takes a worker yet; waiting for one", flush=True)
    wanted = _nothing.options(num_cpus=worker.cpus, num_gpus=worker.gpus).remote()
    begun = time.monotonic()
    until = begun + PATIENCE
    try:
        while time.monotonic() < until:
            if slots := cluster.worker_slots(worker.cpus, worker.gpus):
                return slots
            if nodes_to_come():
                until = min(time.monotonic() + PATIENCE, begun + LAUNCH)
            time.sleep(1)
        return 0
    finally:
        ray.cancel(wanted)


@ray.remote(num_cpus=0, max_retries=0)
def _reaches(probe: str) -> bool:
    return writes_beside(Path(probe))


def _demand_reach(run: Path, nodes: Sequence[dict[str, Any]]) -> None:
    """Asks each node whether it sees the run directory and may write there.

    Raises:
        UsageError: one does not, or does not answer; its address is named.
    """
    if {node["NodeID"] for node in nodes} <= {ray.get_runtime_context().get_node_id()}:
        return  # the driver's own
    run = run.resolve()
    with probe_in(run) as probe:
        asked = [
            _reaches.options(scheduling_strategy=on_node(node)).remote(str(probe)) for node in nodes
        ]
        until = time.monotonic() + ANSWER
        for node, ref in zip(nodes, asked, strict=True):
            name = node["NodeManagerAddress"]
            try:
                reached = ray.get(ref, timeout=max(0.0, until - time.monotonic()))
            except ray.exceptions.RayError:
                raise UsageError(
                    f"node {name} does not answer within {ANSWER:g} s; look at its raylet.out, or"
                    " take it out of the cluster"
                ) from None
            if not reached:
                raise UsageError(
                    f"--run {run}: node {name} does not see it or may not write there; put it on"
                    " a disk that all nodes share (NFS or alike)"
                )
