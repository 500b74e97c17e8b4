"""A job whose cluster is gone ends in one line, and does not wait for ever."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
JOB = """
import sys, time
from orchestrator.nodes import watchdog
watchdog.EVERY, watchdog.PATIENCE = 0.1, 1.0
with watchdog.held(sys.argv[1]):
    print("at work", flush=True)
    time.sleep(float(sys.argv[2]))
print("over", flush=True)
time.sleep(2)
"""


def test_when_nobody_answers_any_more() -> None:
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        job = subprocess.Popen(
            [sys.executable, "-c", JOB, address, "60"], cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert job.stdout is not None and job.stdout.readline() == "at work\n"
        assert job.poll() is None
    out, err = job.communicate(timeout=50)
    assert job.returncode == 2 and out == ""
    (line,) = err.splitlines()
    assert line.startswith(f"error: the cluster at {address} does not answer any more; ")


def test_a_job_that_is_over_does_not_mind() -> None:
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
    done = subprocess.run(
        [sys.executable, "-c", JOB, address, "0"], cwd=ROOT, text=True, capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "at work\nover\n", "")
