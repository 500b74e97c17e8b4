"""The internals of Ray that are used exist, and do what they are used for. Starts no Ray."""

from __future__ import annotations

import dataclasses
import getpass
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import MethodType, SimpleNamespace

import pytest
import ray
from ray._private import worker
from ray._private.node import Node
from ray._private.services import _find_address_from_flag
from ray._private.utils import write_ray_address
from ray.autoscaler._private.autoscaler import AutoscalerSummary
from ray.autoscaler._private.command_runner import SSHCommandRunner
from ray.autoscaler.v2.schema import ClusterStatus
from ray.data import Dataset
from ray.tune.execution import class_cache

from orchestrator.nodes import ray_internals
from tests.orchestrator.strangers import needs_root, pretending

ROOT = Path(__file__).resolve().parents[2]
# A private module, or a name with an underscore, of Ray.
PRIVATE = re.compile(r"\bray(\.\w+)*\._\w+|ray\.autoscaler|internal_kv|\._set_uuid")


def test_they_are_used_nowhere_else() -> None:
    files = [*(ROOT / "orchestrator").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    assert len(files) > 50
    using = {path.name for path in files if PRIVATE.search(path.read_text())}
    assert using == {"ray_internals.py", "train_internals.py"}


def test_the_folder_of_ray_up_is_known() -> None:
    runner = SSHCommandRunner("", "node", None, {"ssh_user": "x"}, "cluster", subprocess, False)
    folder = ray_internals.launcher_folder(getpass.getuser())
    assert Path(str(runner.ssh_control_path)).parent == folder


def test_the_head_is_found_by_its_address() -> None:
    host, _, port = ray_internals.canonical("localhost:6379").rpartition(":")
    assert port == "6379" and host
    with pytest.raises(ValueError, match="nonsense"):
        ray_internals.canonical("nonsense")


def test_where_a_start_leaves_its_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    file = ray_internals.address_file()
    file.parent.mkdir()
    write_ray_address("192.0.2.1:6379")
    assert file.read_text() == "192.0.2.1:6379"
    assert file.is_relative_to(tmp_path)


@needs_root
def test_raylets_are_found_as_ray_finds_them() -> None:
    with pretending("192.0.2.1:6379", Path("/tmp/x/session_1")) as pid:
        raylet = ray_internals.Raylet(
            Path(f"/proc/{pid}").stat().st_uid, "192.0.2.1:6379", Path("/tmp/x/session_1")
        )
        assert raylet in ray_internals.raylets_here()
        assert "192.0.2.1:6379" in _find_address_from_flag("--gcs-address")
    assert raylet not in ray_internals.raylets_here()


def test_a_token_is_read_anew(tmp_path: Path) -> None:
    """Ray reads it once, and again on request."""
    file = tmp_path / "token"
    file.write_text("cd" * 32)
    code = """
import os
from ray._raylet import AuthenticationTokenLoader
def shown():
    return AuthenticationTokenLoader.instance().get_raw_token()
os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="ab" * 32)
ray_internals.read_token_anew()
first = shown()
del os.environ["RAY_AUTH_TOKEN"]
os.environ["RAY_AUTH_TOKEN_PATH"] = FILE
again = shown()
ray_internals.read_token_anew()
print(first == again == "ab" * 32, shown() == "cd" * 32)
"""
    assert fresh(code.replace("FILE", repr(str(file)))) == "True True"


def fresh(code: str, **environment: str) -> str:
    """The output of code in a new process, where no test has started Ray or set a token."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    done = subprocess.run(
        [sys.executable, "-c", f"from orchestrator.nodes import ray_internals\n{code}"],
        cwd=ROOT, env=clean | environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.mark.parametrize("there", [False, True])
def test_a_token_file_guards_the_connection(there: bool, tmp_path: Path) -> None:
    path = tmp_path / ".ray" / "auth_token"
    if there:
        path.parent.mkdir()
        path.write_text("ab" * 32)
        path.chmod(0o600)
    look = "import os; ray_internals.use_token_if_there_is_one()"
    said = fresh(f"{look}; print(os.environ.get('RAY_AUTH_MODE'))", HOME=str(tmp_path))
    assert said == ("token" if there else "None")


def test_without_a_cluster_there_is_no_dashboard() -> None:
    code = """
try:
    ray_internals.dashboard_address()
except Exception as error:
    print(type(error).__name__, "ray.init" in str(error))
"""
    assert fresh(code) == "RaySystemError True"


def test_nodes_that_an_autoscaler_brings_are_read_from_its_report() -> None:
    for kind in (AutoscalerSummary, ClusterStatus):
        names = {field.name for field in dataclasses.fields(kind)}
        assert {"pending_launches", "pending_nodes"} <= names

    def told(**changed: object) -> bytes:
        summary = AutoscalerSummary(
            active_nodes={"head": 1}, idle_nodes=None, pending_nodes=[], pending_launches={},
            failed_nodes=[],
        )  # fmt: skip
        report = dataclasses.asdict(summary) | changed
        return json.dumps({"autoscaler_report": report}).encode()

    assert not ray_internals.pending_in(None)
    assert not ray_internals.pending_in(told())
    assert ray_internals.pending_in(told(pending_launches={"worker": 2}))
    assert ray_internals.pending_in(told(pending_nodes=[["10.0.0.2", "worker", "setting-up"]]))


def test_the_machine_as_a_node_would_see_it() -> None:
    assert 1 <= ray_internals.cpus_here() <= (os.cpu_count() or 1)
    assert ray_internals.memory_here() > 2**28


def test_a_worker_knows_its_nodes_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    node = SimpleNamespace(temp_dir=str(tmp_path))
    node.get_temp_dir_path = MethodType(Node.get_temp_dir_path, node)
    monkeypatch.setattr(ray_internals.global_worker, "node", node)
    assert ray_internals.session_folder() == tmp_path


def test_data_sets_of_a_worker_share_their_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    data = SimpleNamespace(_in_stats=SimpleNamespace())
    data._set_uuid = MethodType(Dataset._set_uuid, data)
    here = SimpleNamespace(get_worker_id=lambda: "worker")
    monkeypatch.setattr(ray, "get_runtime_context", lambda: here)
    ray_internals.share_metrics(data)  # type: ignore[arg-type]
    assert data._uuid == data._in_stats.dataset_uuid == "worker"


def test_without_a_session_this_process_began_none() -> None:
    assert not ray_internals.began_session()


def test_a_driver_knows_whether_its_node_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "raylet"
    monkeypatch.setattr(worker, "_global_node", SimpleNamespace(raylet_socket_name=str(path)))
    assert not ray_internals.node_answers()
    with socket.socket(socket.AF_UNIX) as raylet:
        raylet.bind(str(path))
        raylet.listen()
        assert ray_internals.node_answers()
    assert not ray_internals.node_answers()
    monkeypatch.setattr(worker, "_global_node", None)
    assert ray_internals.node_answers()


def test_trials_have_no_environment_of_their_own() -> None:
    """Or each would need a worker that is started for it."""
    actors = class_cache._ActorClassCache()
    ray_internals.let_trials_take_any_worker()
    assert actors.get(type("Trial", (), {}))._default_options["runtime_env"] == {}
