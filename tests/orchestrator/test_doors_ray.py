"""Where a local runtime listens."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Prints where the processes of a local runtime listen, after they have had time to begin.
LISTEN = """
import time
import psutil
import ray
from orchestrator.nodes import cluster
with cluster.connected(None, 1):
    where = ray.remote(lambda: ray.util.get_node_ip_address())
    print("worker at", ray.get(where.remote()))
    time.sleep(8)
    us = psutil.Process()
    for process in (us, *us.children(recursive=True)):
        for connection in process.net_connections("inet"):
            if connection.status == "LISTEN":
                print(connection.laddr.ip, process.name())
"""


def test_a_run_of_one_machine_listens_on_its_loopback_alone(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LISTEN], cwd=tmp_path, capture_output=True, text=True, timeout=200,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    worker, *where = done.stdout.splitlines()
    assert worker == "worker at 127.0.0.1"
    assert len(where) > 4
    own = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}  # the last is IPv6's name of the first
    assert {line.split()[0] for line in where} <= own, where
