"""What `doctor` finds on the nodes of a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.doctor.nodes import look_at_nodes

ROOT = Path(__file__).resolve().parents[2]


def test_every_node_is_asked(
    tmp_path: Path, ray_cluster: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    found = [finding.line for finding in look_at_nodes(tmp_path / "run")]
    for what in ("as here", "RAY_AUTH_MODE=token", "disk: ", "GPU", "GiB free"):
        assert any(what in line for line in found), found
    # the token file is that of whoever runs the tests
    assert not [line for line in found if line.startswith("BAD") and ", token: " not in line]
    assert f"sees {tmp_path / 'run'}" in found[-1]
    assert not (tmp_path / "run").exists()


# In a process of its own: the tests' own runtime is another.
TWO_NODES = """
import os, sys
from ray.cluster_utils import Cluster
from orchestrator.jobs import JOBS
head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 * 2**20}
cluster = Cluster(initialize_head=True, head_node_args=head)
cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20,
                 env_vars={"RAY_AUTH_TOKEN_PATH": sys.argv[2]})
code = JOBS["doctor"].main(["--address", cluster.address, "--run", sys.argv[1]])
cluster.shutdown()
sys.exit(code)
"""


@pytest.mark.faults
def test_a_token_that_others_can_read_on_one_of_two_nodes(tmp_path: Path) -> None:
    """Two nodes of one machine, which have its address in common."""
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    for file, mode in ((mine, 0o600), (theirs, 0o640)):
        file.write_text("ab" * 32)
        file.chmod(mode)
    environment = dict(os.environ, PYTHONPATH=str(ROOT), RAY_AUTH_TOKEN_PATH=str(mine))
    del environment["RAY_AUTH_TOKEN"]
    done = subprocess.run(
        [sys.executable, "-c", TWO_NODES, str(tmp_path / "run"), str(theirs)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    named = {words[3] for words in map(str.split, lines) if words[1] == "node"}
    assert len({name.strip(":,") for name in named}) == 2
    bad = [line for line in lines if line.startswith("BAD")]
    assert len(bad) == 1 and f"token: {theirs} has mode 0640; chmod 600" in bad[0]
    assert sum("RAY_AUTH_MODE=token" in line for line in lines) == 2
    assert "ab" * 32 not in done.stdout + done.stderr
    assert lines[-1] == f"1 of {len(lines) - 1} to be mended"
