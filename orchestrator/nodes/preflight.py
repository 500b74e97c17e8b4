"""Before any work: a node that takes a worker, and a run directory that all such nodes reach."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
from ray.autoscaler.v2.sdk import get_cluster_status
from ray.autoscaler.v2.utils import is_autoscaler_v2
from ray.experimental.internal_kv import _internal_kv_get
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.interface.errors import UsageError
from orchestrator.nodes import cluster
from orchestrator.training.worker import Worker

PATIENCE = 45.0  # seconds for a node that fits, unless the autoscaler is bringing nodes
LAUNCH = 1200.0  # seconds for nodes that the autoscaler brings: a spot machine and its image
ANSWER = 60.0  # seconds for all nodes to say what they see


def ready(worker: Worker, address: str | None, run: Path) -> int:
    """How many workers fit at once, where the job can run.

    Raises:
        UsageError: no node takes a worker, or one that does cannot reach the run directory.
    """
    slots = cluster.worker_slots(worker.cpus, worker.gpus)
    if not slots and not cluster.is_local(address):
        slots = _await_node(worker)
    if not slots:
        raise UsageError(_lacking(worker))
    _demand_reach(run, cluster.nodes_for(worker.cpus, worker.gpus))
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
            if _nodes_to_come():
                until = min(time.monotonic() + PATIENCE, begun + LAUNCH)
            time.sleep(1)
        return 0
    finally:
        ray.cancel(wanted)


def _nodes_to_come() -> bool:
    """Whether an autoscaler has asked for nodes that are not there yet, as `ray status` tells."""
    if is_autoscaler_v2():
        status = get_cluster_status(ray.get_runtime_context().gcs_address)
        return bool(status.pending_launches or status.pending_nodes)
    told = _internal_kv_get(DEBUG_AUTOSCALING_STATUS)
    report: dict[str, Any] = (json.loads(told) if told else {}).get("autoscaler_report", {})
    return bool(report.get("pending_launches") or report.get("pending_nodes"))


@ray.remote(num_cpus=0, max_retries=0)
def _reaches(probe: str) -> bool:
    path = Path(probe)
    return path.is_file() and os.access(path.parent, os.W_OK)


def _demand_reach(run: Path, nodes: Sequence[dict[str, Any]]) -> None:
    """Asks each node whether it sees the run directory and may write there.

    Raises:
        UsageError: one does not, or does not answer; its address is named.
    """
    if {node["NodeID"] for node in nodes} <= {ray.get_runtime_context().get_node_id()}:
        return  # the driver's own
    run = run.resolve()
    with _probe(run) as probe:
        asked = {
            _reaches.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(str(probe)): node["NodeManagerAddress"]
            for node in nodes
        }
        until = time.monotonic() + ANSWER
        for ref, name in asked.items():
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


@contextmanager
def _probe(run: Path) -> Iterator[Path]:
    run.mkdir(parents=True, exist_ok=True)
    probe = run / f".probe-{secrets.token_hex(8)}.tmp"
    probe.touch()
    try:
        yield probe
    finally:
        probe.unlink(missing_ok=True)
