"""The Ray cluster that runs the work: one at an address, or one on this machine."""

from __future__ import annotations

import ipaddress
import logging
import os
import platform
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.interface import interrupts
from orchestrator.interface.errors import UsageError
from orchestrator.nodes import authentication, ray_internals, watchdog
from orchestrator.nodes.hardware import gpus_here, processor
from orchestrator.nodes.private_base import private_session
from trainables.crystals.crystal import one_line

# By default Ray Tune writes logger files for each trial; our ledger takes their place.
TUNE_ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}
# While trainings hold all CPUs, Ray ends an idle process that has read shards after one second, and
# starts another for the next pass over the data set, which takes seconds.
# Metrics are for Prometheus, and would be readable by every user of the machine.
RUNTIME_ENVIRONMENT = {
    "RAY_idle_worker_killing_time_threshold_ms": "60000",
    "RAY_enable_metrics_collection": "0",
}
# These report normal conditions: that a token was generated, that progress bars are off. Tune's
# errors are those of trials, which are recorded, shown with the progress and summarised at the end.
CHATTY_LOGGERS = {
    "ray.data": logging.ERROR,
    "ray.tune": logging.CRITICAL,
    ray_internals.AUTHENTICATION_LOGGER: logging.ERROR,
}
# A worker's share of memory, in bytes, as long as no node is there that takes workers.
SHARE_TO_COME = 8 * 2**30


@contextmanager
def connected(address: str | None, cpus_per_worker: float) -> Iterator[None]:
    """Joins the running Ray session or the cluster at `address`, or starts a temporary local one.

    Raises:
        UsageError: no cluster answers at the address, or it lost some work too many times.
    """
    os.environ.update(TUNE_ENVIRONMENT)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    for name, level in CHATTY_LOGGERS.items():
        logging.getLogger(name).setLevel(level)
    if ray.is_initialized():
        with _losses_told():
            yield
        return
    with ExitStack() as folder:
        with interrupts.at_once():
            _begin(address or os.environ.get("RAY_ADDRESS"), cpus_per_worker, folder)
            interrupts.by_sigterm_too()
        try:
            with _losses_told(), watchdog.held(ray.get_runtime_context().gcs_address):
                yield
        finally:
            with interrupts.at_once():
                ray.shutdown()
                folder.close()


@contextmanager
def _losses_told() -> Iterator[None]:
    """Turns Ray's errors about lost work into one-line errors; errors of the work itself pass."""
    try:
        yield
    except RayTaskError:
        raise
    except RayError as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UsageError(
            f"the cluster failed while running this work, and all retries failed ({why}); when it"
            " works again, or has more memory, run the same command: it continues from what is done"
        ) from None


def _begin(address: str | None, cpus_per_worker: float, folder: ExitStack) -> None:
    """Starts a session; the files of a local one are removed with `folder`."""
    threads = str(max(1, int(cpus_per_worker)))
    environment = {"OMP_NUM_THREADS": threads, **TUNE_ENVIRONMENT}
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "WARNING"}
    if address is None or is_local(address):
        for name, value in RUNTIME_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        folder.enter_context(private_session())
        # Inherited, as with a runtime environment each worker starts twice, and workers that Ray
        # starts ahead cannot be used.
        with ray_internals.on_loopback(), inherited(environment):
            _begin_here(**quiet)
        return
    try:
        ray.init(address=_answering(address), runtime_env={"env_vars": environment}, **quiet)
    except (ConnectionError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(
            f"--address {address}: no Ray cluster answers ({reason}); start one with"
            " `ray start --head`, give both sides one token (RAY_AUTH_MODE), or leave the flag"
            " (and RAY_ADDRESS) out"
        ) from None


def _begin_here(**settings: Any) -> None:
    try:
        with ray_internals.without_observers():
            ray.init(address="local", **settings)
    except Exception as error:  # Ray has no class of its own for a node that starts too slowly
        why = one_line(error, 200)
        raise UsageError(
            f"Ray does not start on this machine ({why}); give it more time by running again, or"
            " look for a lack of memory, of room for its files, or of processor time"
        ) from None


def _answering(address: str) -> str:
    """`host:port` of a cluster that accepts connections; Ray itself would retry for minutes."""
    named = authentication.head_of_ours() if address == "auto" else address
    if named is None:
        raise ConnectionError("none was started on this machine")
    if "://" in named:
        raise UsageError(
            f"--address {named}: give HOST:PORT of the head (Ray's client and job addresses are"
            " for `ray job submit --address`)"
        )
    found = ray_internals.canonical(named)
    host, port = authentication.split(found)
    socket.create_connection((host, port), timeout=5).close()
    authentication.demand_head_of_ours(address, host, port)
    if opened := authentication.demand_node_of_ours(address, host, port):
        print(
            f"{opened}: they may run programs as you on this cluster; start it in a folder of your"
            " own (docs/cluster.md)",
            file=sys.stderr,
        )
    ray_internals.use_token_if_there_is_one()
    if os.environ.get("RAY_AUTH_MODE") != "token":
        raise UsageError(
            f"--address {address}: {host} takes anyone who reaches it; start both sides with"
            " RAY_AUTH_MODE=token (docs/cluster.md)"
        )
    if authentication.takes_strangers(found):
        raise UsageError(
            f"--address {address}: {host} asks nobody for the token, so that anyone who reaches it"
            " may run anything there; start it again with RAY_AUTH_MODE=token (docs/cluster.md)"
        )
    return found


@contextmanager
def inherited(variables: Mapping[str, str]) -> Iterator[None]:
    """Within this context, processes that start have these variables in their environment."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's loopback."""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return all(ipaddress.ip_address(address).is_loopback for address in found)


def dashboard() -> str | None:
    """Address of the dashboard, if there is one."""
    url = ray_internals.dashboard_address()
    return f"http://{url}" if url else None


def dashboard_token() -> Path | None:
    """The file with the dashboard's token; None if it is the user's default one."""
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return Path(named) if named else None


def is_local(address: str | None) -> bool:
    """Whether `connected` starts a runtime of its own on this machine."""
    return (address or os.environ.get("RAY_ADDRESS")) in (None, "local")


def worker_slots(cpus: float, gpus: float) -> int:
    """How many workers fit on the cluster at once."""
    return sum(_slots(node, cpus, gpus) for node in live_nodes())


def slots_before(cpus: float, gpus: float, address: str | None) -> int | None:
    """As `worker_slots`, before `connected`; None of a cluster that is not joined yet."""
    if ray.is_initialized():
        return worker_slots(cpus, gpus)
    if not is_local(address):
        return None
    here = {"CPU": float(ray_internals.cpus_here())}
    if gpus:
        here["GPU"] = float(gpus_here())
    return _slots(here, cpus, gpus)


def nodes_for(cpus: float, gpus: float) -> list[dict[str, Any]]:
    """The nodes that take a worker, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"] and _slots(node["Resources"], cpus, gpus)]


def on_node(node: Mapping[str, Any]) -> NodeAffinitySchedulingStrategy:
    """Schedules a task on one node, which is given as `ray.nodes` describes it."""
    return NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)


def memory_per_worker(cpus: float, gpus: float) -> float:
    """Bytes of a data set that a worker may hold on any node: half of its share of the memory.

    The other half is for the training itself, and for Ray's objects.
    """
    slots = [(_slots(node, cpus, gpus), node) for node in live_nodes()]
    shares = [node["memory"] / number for number, node in slots if number and "memory" in node]
    return min(shares, default=SHARE_TO_COME) / 2


def live_nodes() -> list[dict[str, float]]:
    """The resources of each live node."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _slots(node: dict[str, float], cpus: float, gpus: float) -> int:
    fits = [node.get("CPU", 0) / cpus] if cpus else []
    fits += [node.get("GPU", 0) / gpus] if gpus else []
    return int(min(fits, default=0))


def hardware() -> dict[str, Any]:
    """The hardware of the cluster, for the manifest."""
    resources = ray.cluster_resources()
    return {
        "nodes": sum(node["Alive"] for node in ray.nodes()),
        "cpus": resources.get("CPU", 0),
        "gpus": resources.get("GPU", 0),
        "memory_gib": round(resources.get("memory", 0) / 2**30, 1),
        "machine": platform.machine(),
        "processor": processor(),
        "system": platform.system(),
    }
