"""Configured nodes that are missing from the cluster; Ray itself does not report them."""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import ray
import yaml

# Where `ray up` leaves its configuration on the head, whose autoscaler reads it there.
CONFIGURED = Path("~/ray_bootstrap_config.yaml")


def missing() -> str:
    """Describes the missing nodes, as seen from the head; "" if there are none or it is unknown.

    Only a cluster that `ray up` started has a configuration, and only on its head.
    """
    head = ray.get_runtime_context().gcs_address.rpartition(":")[0]
    if head != ray.util.get_node_ip_address():
        return ""
    try:
        config = yaml.safe_load(CONFIGURED.expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return ""
    here = [node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]]
    return missing_of(config, head, here) if isinstance(config, dict) else ""


def missing_of(config: Mapping[str, Any], head: str, here: Collection[str]) -> str:
    """Describes the missing nodes of a configuration with Ray's defaults filled in.

    Args:
        head: address of the head.
        here: addresses of the nodes that are alive, including the head's.
    """
    provider = config.get("provider") or {}
    if provider.get("type") == "local":
        if _address(str(provider.get("head_ip"))) != head:
            return ""  # left by another cluster
        workers = [str(name) for name in provider.get("worker_ips") or ()]
        gone = [name for name in workers if _address(name) not in here]
        return _line(len(workers) + 1 - len(gone), len(workers) + 1, ", ".join(gone))
    kinds = (config.get("available_node_types") or {}).values()
    wanted = 1 + sum(kind.get("min_workers") or 0 for kind in kinds)
    return _line(len(here), wanted, str(max(0, wanted - len(here)) or ""))


def _line(there: int, wanted: int, gone: str) -> str:
    return f"{there} of {wanted} configured nodes are here, missing: {gone}" if gone else ""


def _address(name: str) -> str:
    try:
        return socket.gethostbyname(name)
    except OSError:
        return name
