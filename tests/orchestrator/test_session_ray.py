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
OF_DRIVER = {"AWS_ACCESS_KEY_ID": "nobody"}  # which Tune would give each trial as its own
# Actors as Tune makes them of trials, on all CPUs, once the workers that start with the session are
# registered: for actors that come earlier Ray starts others. Then every process below this one.
SESSION = """
import json, os, time
import psutil
import ray
from ray.tune.execution.class_cache import _ActorClassCache
from orchestrator.nodes import cluster
from orchestrator.nodes.ray_internals import let_trials_take_any_worker, node_answers
class Trial:
    def threads(self):
        return os.environ["OMP_NUM_THREADS"]
def below():
    return [" ".join(one.cmdline()) for one in psutil.Process().children(recursive=True)]
del os.environ["OMP_NUM_THREADS"]
with cluster.connected(None, cpus_per_worker=3):
    assert node_answers()
    let_trials_take_any_worker()
    cpus = int(ray.cluster_resources()["CPU"])
    while sum(line.startswith("ray::IDLE") for line in below()) < cpus:
        time.sleep(0.1)
    trials = [_ActorClassCache().get(Trial).options(num_cpus=1).remote() for _ in range(cpus)]
    threads = ray.get([trial.threads.remote() for trial in trials])
    own = os.environ.get("OMP_NUM_THREADS")
    print(json.dumps([cpus, threads, below(), cluster.dashboard(), own]))
"""


@pytest.mark.ray
def test_a_session_starts_the_workers_it_needs_and_no_observers(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SESSION], cwd=tmp_path, capture_output=True, text=True, timeout=200,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **OF_DRIVER},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    cpus, threads, below, dashboard, own = json.loads(done.stdout.splitlines()[-1])
    assert threads == ["3"] * cpus and own is None
    assert dashboard is None
    observers = ("dashboard/dashboard.py", "autoscaler/_private/monitor.py", "log_monitor.py")
    assert not [line for line in below if any(name in line for name in observers)]
    assert any("gcs_server" in line for line in below)
    workers = [line for line in below if re.match(r"ray::(Trial|IDLE)|\S+ \S*default_worker", line)]
    assert len(workers) == cpus, workers
