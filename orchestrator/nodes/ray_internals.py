"""All uses of Ray beyond its public interface, so that an upgrade breaks here or nowhere.

Those of Ray Train are in `train_internals.py`.

`tests/orchestrator/test_ray_internals.py` calls each without a cluster; pyproject.toml bounds Ray's
version because of them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import ray
from ray._common.utils import get_ray_address_file, get_system_memory
from ray._private import ray_constants, worker
from ray._private.authentication.authentication_token_setup import (
    maybe_enable_token_auth_if_token_available,
)
from ray._private.node import Node
from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
from ray._private.services import canonicalize_bootstrap_address
from ray._private.utils import get_num_cpus
from ray._private.worker import get_dashboard_url, global_worker
from ray._raylet import (  # type: ignore[attr-defined]
    AuthenticationTokenLoader,
    Config,
    getproctitle,
    setproctitle,
)
from ray.autoscaler.v2.sdk import get_cluster_status
from ray.autoscaler.v2.utils import is_autoscaler_v2
from ray.core.generated.gcs_service_pb2 import CheckAliveRequest  # type: ignore[attr-defined]
from ray.core.generated.gcs_service_pb2_grpc import NodeInfoGcsServiceStub
from ray.data import Dataset
from ray.experimental.internal_kv import _internal_kv_get

_OBSERVERS = ("start_api_server", "start_monitor", "start_log_monitor")
AUTHENTICATION_LOGGER = "ray._private.authentication"  # reports that a token was generated


@contextmanager
def silent_once(over: Callable[[], bool]) -> Iterator[None]:
    """Within this context a driver prints nothing of other Ray processes once `over()` is true."""
    printed = worker.print_to_stdstream

    def print_before(*given: Any, **named: Any) -> None:
        if not over():
            printed(*given, **named)

    def before(record: logging.LogRecord) -> bool:
        return not over()

    handlers = list(logging.getLogger("ray").handlers)
    worker.print_to_stdstream = print_before
    for handler in handlers:
        handler.addFilter(before)
    try:
        yield
    finally:
        worker.print_to_stdstream = printed
        for handler in handlers:
            handler.removeFilter(before)


def canonical(address: str) -> str:
    """`host:port` of the head that `ray.init(address)` would join.

    `ray.init` resolves the address too, but then tries for minutes to reach it. "auto" is resolved
    by `authentication`, as Ray would join anybody's cluster.

    Raises:
        ValueError: no address.
    """
    found = canonicalize_bootstrap_address(address)
    assert found is not None, "only of no address it makes nothing"
    return found


def address_file() -> Path:
    """Where `ray start` writes the address of the cluster that it started."""
    return Path(get_ray_address_file(None))


@dataclass(frozen=True)
class Raylet:
    """The process that makes this machine a node of a cluster.

    Attributes:
        uid: its user.
        head: the cluster's `host:port`, from its command line.
        session: the folder of its sockets, logs and runtime environments.
    """

    uid: int
    head: str
    session: Path


def raylets_here() -> list[Raylet]:
    """All raylets of this machine, of any user: Ray finds the node that a driver joins this way."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is hidden
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if "raylet" not in words[0].rpartition("/")[2]:
                continue
            flags = dict(word.split("=", 1) for word in words[1:] if "=" in word)
            if {"--gcs-address", "--session_dir"} <= set(flags):
                session = Path(flags["--session_dir"])
                found.append(Raylet(process.stat().st_uid, flags["--gcs-address"], session))
    return found


def use_token_if_there_is_one() -> None:
    """Uses the token file, if there is one, for the connection, as `ray start` does by default.

    `ray.init` does so only after it has connected, but the checks of the head need the token.
    """
    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def read_token_anew() -> None:
    """Makes Ray read mode and token from the environment again; it caches them."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def on_loopback() -> Iterator[None]:
    """A runtime that starts within this context listens on the loopback alone, with all its ports.

    Ray does so by default on macOS and Windows, to avoid questions of their firewalls. Elsewhere it
    takes the machine's network address even where it is given the loopback's.
    """
    was = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = was


@contextmanager
def without_observers() -> Iterator[None]:
    """A runtime that starts within this context has no dashboard, autoscaler or log monitor.

    A session on one machine that shows no logs does not need them, and they start slowest.
    """
    before = {name: getattr(Node, name) for name in _OBSERVERS}
    for name in _OBSERVERS:
        setattr(Node, name, lambda node, *given, **named: None)
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(Node, name, method)


def ask_head_whether_alive(channel: grpc.Channel, seconds: float) -> None:
    """Sends a head the smallest request: that of `ray health-check`, which always sends a token.

    Raises:
        grpc.RpcError: it does not answer, or wants a token.
    """
    NodeInfoGcsServiceStub(channel).CheckAlive(CheckAliveRequest(), timeout=seconds)


def dashboard_address() -> str | None:
    """`host:port` of the dashboard of the cluster that we are connected to, if it has one.

    Its public source is the return value of `ray.init`, which only its caller has: not a job within
    a session that was started elsewhere.
    """
    return get_dashboard_url() or None


def nodes_to_come() -> bool:
    """Whether an autoscaler has requested nodes that have not come yet.

    `ray status` prints it as text; the state API lists only nodes that have come.
    """
    if is_autoscaler_v2():
        status = get_cluster_status(ray.get_runtime_context().gcs_address)
        return bool(status.pending_launches or status.pending_nodes)
    return pending_in(_internal_kv_get(DEBUG_AUTOSCALING_STATUS))


def pending_in(status: bytes | None) -> bool:
    """The same, from the status that the version 1 autoscaler leaves for `ray status`."""
    report: dict[str, Any] = (json.loads(status) if status else {}).get("autoscaler_report", {})
    return bool(report.get("pending_launches") or report.get("pending_nodes"))


def cpus_here() -> int:
    """CPUs that a node on this machine would offer, within the container's limits.

    `ray.cluster_resources` needs a running cluster, and a plan starts none.
    """
    return int(get_num_cpus())


def memory_here() -> float:
    """Bytes of memory of this machine, or of its container; see `cpus_here`."""
    return float(get_system_memory())


def launcher_folder(user: str) -> Path:
    """Where `ray up`, run by a user of this machine, keeps the sockets of its SSH connections."""
    return Path("/tmp") / f"ray_ssh_{hashlib.sha256(user.encode()).hexdigest()[:10]}"


def session_folder() -> Path:
    """On a worker: where its node keeps logs, and objects that do not fit into memory.

    The folder can be chosen when a node is started, and the runtime context does not have it.
    """
    node = global_worker.node
    assert node is not None, "a worker has a node"
    return Path(node.get_temp_dir_path())


def show_work(what: str) -> None:
    """Sets the process title that `ps` and the dashboard show until the worker's call returns.

    Ray titles a process by the method that it runs, and an actor by the first one.
    """
    method = getproctitle().partition(" ")[0]
    if method.startswith("ray::"):
        setproctitle(f"{method} {what}")


def share_metrics(data: Dataset) -> None:
    """Gives all data sets that one worker runs the same place in Ray's metrics.

    Ray keeps the metrics of each data set, 1.5 MB in all, as long as the cluster lives; a training
    makes one data set per pass, and no public function releases one.
    """
    data._set_uuid(ray.get_runtime_context().get_worker_id())


def began_session() -> bool:
    """Whether this driver started the session it is in, and so runs on its workers' machine."""
    node: Any = worker._global_node
    return node is not None and bool(node.is_head())


def node_answers() -> bool:
    """Whether the raylet of this driver's machine still accepts connections.

    Without it Ray's core worker ends the driver, whatever the head does.
    """
    node: Any = worker._global_node
    if node is None:
        return True
    with socket.socket(socket.AF_UNIX) as one, suppress(OSError):
        one.connect(node.raylet_socket_name)
        return True
    return False


def let_trials_take_any_worker() -> None:
    """Removes Tune's own environment of trials, for which Ray would start new workers.

    Workers that were started with the session can then be used. The environment has a variable for
    PyTorch Lightning, and those of Ray Train and of AWS that the driver has. Workers of a session
    that it started inherit these; on a cluster that it joined they need them.
    """
    from ray.tune.execution import class_cache  # here: only training needs Tune

    class_cache.DEFAULT_ENV_VARS.clear()
    if began_session():
        class_cache.ENV_VARS_TO_PROPAGATE.clear()
