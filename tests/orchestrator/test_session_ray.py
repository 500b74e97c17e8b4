"""What a session of one machine starts: what its models need, and nothing twice."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Actors as Tune makes them of trials, on all CPUs; then every process below this one.
SESSION = """
import json, os
import psutil
import ray
from ray.tune.execution.class_cache import _ActorClassCache
from orchestrator.nodes import cluster
from orchestrator.nodes.ray_internals import let_trials_take_any_worker, node_answers
class Trial:
    def threads(self):
        return os.environ["OMP_NUM_THREADS"]
del os.environ["OMP_NUM_THREADS"]
with cluster.connected(None, cpus_per_worker=3):
    assert node_answers()
    let_trials_take_any_worker()
    cpus = int(ray.cluster_resources()["CPU"])
    trials = [_ActorClassCache().get(Trial).options(num_cpus=1).remote() for _ in range(cpus)]
    threads = ray.get([trial.threads.remote() for trial in trials])
    below = [" ".join(one.cmdline()) for one in psutil.Process().children(recursive=True)]
    own = os.environ.get("OMP_NUM_THREADS")
    print(json.dumps([cpus, threads, below, cluster.dashboard(), own]))
"""


@pytest.mark.ray
def test_a_session_starts_the_workers_it_needs_and_no_observers(tmp_path: Path) -> None:
    # Actors that come before Ray's first workers have registered get others, which the load of the
    # machine decides: the best of three sessions counts.
    fewest = []
    for _ in range(3):
        cpus, workers = session(tmp_path)
        assert cpus <= len(workers)
        fewest.append(len(workers))
        if len(workers) < 2 * cpus:
            return
    pytest.fail(f"{min(fewest)} workers of {cpus} CPUs")


def session(folder: Path) -> tuple[int, list[str]]:
    """Number of CPUs, and the workers of a session, whose other processes are checked."""
    done = subprocess.run(
        [sys.executable, "-c", SESSION], cwd=folder, capture_output=True, text=True, timeout=200,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    cpus, threads, below, dashboard, own = json.loads(done.stdout.splitlines()[-1])
    assert threads == ["3"] * cpus and own is None
    assert dashboard is None
    observers = ("dashboard/dashboard.py", "autoscaler/_private/monitor.py", "log_monitor.py")
    assert not [line for line in below if any(name in line for name in observers)]
    assert any("gcs_server" in line for line in below)
    return cpus, [
        line for line in below if re.match(r"ray::(Trial|IDLE)|\S+ \S*default_worker", line)
    ]
