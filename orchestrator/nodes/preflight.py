"""Checks before any work: a node fits a worker, and all such nodes reach the run directory."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ray

from orchestrator.interface.errors import UsageError
from orchestrator.nodes import cluster, storage
from orchestrator.nodes.disk import demand_storage
from orchestrator.nodes.missing import missing
from orchestrator.nodes.probe import in_another_process
from orchestrator.nodes.ray_internals import nodes_to_come
from orchestrator.nodes.worker import Worker

PATIENCE = 45.0  # seconds to wait for a node that fits, unless the autoscaler is launching some
LAUNCH = 1200.0  # seconds to wait for nodes of the autoscaler: a spot machine and its image
ANSWER = 60.0  # seconds for all nodes to answer


def ready(worker: Worker, address: str | None, run: Path) -> int:
    """Checks that the job can run, reports missing nodes and returns how many workers fit at once.

    Raises:
        UsageError: no node fits a worker, or one that does cannot reach the run directory.
    """
    slots = cluster.worker_slots(worker.cpus, worker.gpus)
    if not slots and not cluster.is_local(address):
        slots = _await_node(worker)
    if not slots:
        raise UsageError(_lacking(worker))
    nodes = cluster.nodes_for(worker.cpus, worker.gpus)
    demand_storage(run, lambda probe: _found(probe, nodes))
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
    """A task that only shows an autoscaler, by its pending, which resources are wanted."""


def _await_node(worker: Worker) -> int:
    """Waits for nodes that fit and returns their slots; 0 if none comes."""
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
def _look(probe: str) -> dict[str, Any]:
    return storage.look(probe)


def _found(
    probe: Path, nodes: Sequence[dict[str, Any]]
) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """The findings of each node by its address; None is this machine if it alone takes work."""
    if {node["NodeID"] for node in nodes} <= {ray.get_runtime_context().get_node_id()}:
        yield None, in_another_process(probe)
        return
    asked = [
        _look.options(scheduling_strategy=cluster.on_node(node)).remote(str(probe))
        for node in nodes
    ]
    until = time.monotonic() + ANSWER
    for node, ref in zip(nodes, asked, strict=True):
        name = node["NodeManagerAddress"]
        try:
            yield name, ray.get(ref, timeout=max(0.0, until - time.monotonic()))
        except ray.exceptions.RayError:
            raise UsageError(
                f"node {name} does not answer within {ANSWER:g} s; look at its raylet.out, or"
                " take it out of the cluster"
            ) from None
