"""Problems that the doctor finds, made for the tests."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

from orchestrator.doctor import machine, neighbours, nodes
from orchestrator.doctor.cluster_file import look_at_file
from orchestrator.doctor.finding import Finding
from orchestrator.jobs import JOBS
from orchestrator.nodes import ray_internals
from orchestrator.training.environment import versions
from tests.orchestrator.strangers import UID, listening, needs_root

ROOT = Path(__file__).resolve().parents[2]


def verdicts(findings: list[Finding]) -> set[str]:
    return {finding.verdict for finding in findings}


def test_a_sound_machine_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setattr(machine, "TOKEN_FILE", tmp_path / "none")
    monkeypatch.setattr(ray_internals, "raylets_here", list)  # whatever else runs here
    assert JOBS["doctor"].main(["--run", str(tmp_path / "runs" / "new")]) == 0
    said = capsys.readouterr().out
    for what in ("Python", "kernels", "disk", "open files", "GPU", "Ray's files"):
        assert what in said
    assert "nothing is bad" in said
    assert not (tmp_path / "runs").exists()
    (tmp_path / "runs").mkdir()  # a folder of runs is no run: without --run a new one is looked at
    (tmp_path / "runs" / "words").touch()
    monkeypatch.chdir(tmp_path)
    assert JOBS["doctor"].main([]) == 0


def test_a_folder_of_something_else_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("mine")
    line = machine.disk(tmp_path).line
    assert line.startswith("BAD   run directory: --run ") and "'words'" in line


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = shutil._ntuple_diskusage(10 * 2**30, 10 * 2**30 - 5, 5)  # type: ignore[attr-defined]
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda folder: full)
    finding = machine.disk(tmp_path / "nowhere")
    assert finding.verdict == "bad" and "0.0 GiB free" in finding.line
    assert machine.shared_memory(tmp_path).verdict == "note"
    assert machine.shared_memory(tmp_path / "nowhere").verdict == "note"


def test_tokens_are_files_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "auth_token"
    assert verdicts(machine.token({}, file)) == {"good"}
    file.write_text("secret")
    file.chmod(0o644)
    (finding,) = machine.token({}, file)
    assert finding.verdict == "bad" and "chmod 600" in finding.line and "secret" not in finding.line
    file.chmod(0o600)
    assert verdicts(machine.token({}, file)) == {"good"}
    assert "note" in verdicts(machine.token({"RAY_AUTH_TOKEN": "secret"}, file))


def test_kernels_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELEMGRID_KERNELS", "0")
    assert machine.kernels().verdict == "note"


def test_the_files_that_come_along_are_closed() -> None:
    for name in ("cluster.yaml", "deploy/cluster.local.yaml"):
        found = look_at_file(ROOT / name)
        assert verdicts(found) == {"note"}, "placeholders are to be filled in, nothing else"


@pytest.mark.parametrize(
    ("before", "after", "seen"),
    [
        ("--dashboard-host=127.0.0.1", "", "dashboard not bound"),
        ("--dashboard-host=127.0.0.1", "--dashboard-host=127.0.0.1 --dashboard-host='::'", "bound"),
        ("upscaling_speed: 1.0", "x: [{CidrIpv6: '::/0'}]", "open to the world"),
        ("head_start_ray_commands", "other_commands", "dashboard not bound"),
        ("head_start_ray_commands", "other_commands", "head starts without"),
        ("available_node_types", "other_node_types", "open SSH to the world"),
        ("export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0;", "", "without RAY_AUTH_MODE"),
        ('"~/.ray/auth_token"', '"~/other"', "token file does not reach"),
        ("SecurityGroupIds", "Groups", "leaves its security group to Ray"),
        ("cluster_name: elemgrid", "cluster_name: 0.0.0.0", "open to the world"),
        ("cluster_name: elemgrid", f"cluster_name: {'ab' * 16}", "a token in the file"),
    ],
)
def test_doors_that_stand_open(tmp_path: Path, before: str, after: str, seen: str) -> None:
    text = (ROOT / "cluster.yaml").read_text()
    assert before in text
    path = tmp_path / "cluster.yaml"
    path.write_text(text.replace(before, after))
    bad = [finding.line for finding in look_at_file(path) if finding.verdict == "bad"]
    assert any(seen in line for line in bad), bad


@needs_root
def test_a_folder_for_the_sockets_of_ray_up_that_another_user_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSH would go through them, with the token."""
    monkeypatch.setattr(ray_internals, "launcher_folder", lambda user: tmp_path / "ray_ssh")
    (tmp_path / "ray_ssh").mkdir()
    assert "bad" not in verdicts(look_at_file(ROOT / "cluster.yaml"))
    os.chown(tmp_path / "ray_ssh", UID, UID)
    bad = [one.line for one in look_at_file(ROOT / "cluster.yaml") if one.verdict == "bad"]
    assert len(bad) == 1 and "belongs to another user" in bad[0]


def test_folders_that_all_users_of_the_machines_reach(tmp_path: Path) -> None:
    """A container has no other users; machines of one's own may have."""
    path = tmp_path / "cluster.yaml"
    start = "ray start --address=HEAD:6379"
    for more, docker, noted in [
        ("", "null", True),
        ("export RAY_TMPDIR=/var/tmp/ray; ", "null", False),
        ("", "{image: x}", False),
    ]:
        path.write_text(f"worker_start_ray_commands: ['{more}{start}']\ndocker: {docker}\n")
        seen = [finding.line for finding in look_at_file(path) if finding.verdict == "note"]
        assert any("open to every user of the machines" in line for line in seen) == noted


@pytest.mark.parametrize(
    "content",
    [
        "provider: null",
        "provider: {type: aws}\navailable_node_types: [a]",
        "provider: {type: aws}\navailable_node_types: {a: null}",
        "provider: {type: aws}\navailable_node_types: {a: {node_config: 1}}",
        "head_start_ray_commands: null\nfile_mounts: null",
        "head_start_ray_commands: [1]",
        "1: 2",
        "a: &a {b: *a}",
    ],
)
def test_sections_that_are_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(content)
    seen = [finding.seen for finding in look_at_file(path)]
    assert "dashboard not bound to 127.0.0.1" in seen
    assert "the token file does not reach the nodes" in seen


def test_a_file_of_references_to_references(tmp_path: Path) -> None:
    """Written out, it would be beyond any memory."""
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]" for n in range(1, 30)]
    path = tmp_path / "cluster.yaml"
    path.write_text("\n".join(lines))
    assert verdicts(look_at_file(path)) == {"bad"}


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a: [", b"- 1"])
def test_what_is_no_cluster_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    assert JOBS["doctor"].main(["--run", str(tmp_path), "--cluster", str(path)]) == 1
    (finding,) = look_at_file(path)
    assert finding.verdict == "bad" and "\n" not in finding.line


def test_wrong_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert JOBS["doctor"].main(["--adress", "x"]) == 2
    assert "did you mean --address" in capsys.readouterr().err


def test_doors_of_a_cluster_that_runs() -> None:
    assert nodes.dashboard(None) == []
    assert verdicts(nodes.dashboard("http://127.0.0.1:8265")) == {"good"}
    assert verdicts(nodes.dashboard("http://192.0.2.7:8265")) == {"bad"}
    assert nodes.guard("node", True).verdict == "good"
    assert nodes.guard("node", False).verdict == "bad"


def test_a_node_with_other_software() -> None:
    ours = versions()
    assert nodes._same_versions("node", ours).verdict == "good"
    finding = nodes._same_versions("node", ours | {"torch": "1.0"})
    assert finding.verdict == "bad" and "torch 1.0 (here " in finding.line


def test_a_node_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert nodes.room(tmp_path).verdict == "good"
    full = shutil._ntuple_diskusage(10 * 2**30, 10 * 2**30 - 5, 5)  # type: ignore[attr-defined]
    monkeypatch.setattr(nodes.shutil, "disk_usage", lambda folder: full)
    assert nodes.room(tmp_path).verdict == "bad"


def test_a_gpu_that_somebody_else_has(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    for name, value in (("is_available", True), ("device_count", 2), ("get_device_name", "X")):
        monkeypatch.setattr(torch.cuda, name, lambda *number, value=value: value)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda number: ((1 + number) * 2**34, 2**35))
    found = machine.cards()
    assert [finding.verdict for finding in found] == ["note", "good"]
    assert "16.0 of 32.0 GiB free; something else runs on it" in found[0].line


def test_folders_that_take_no_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    assert neighbours.base().verdict == "good"
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("x" * 100)))
    finding = neighbours.base()
    assert finding.verdict == "bad" and "RAY_TMPDIR: " in finding.line


def test_an_address_file_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert neighbours.address_file() == []
    file = ray_internals.address_file()
    file.parent.mkdir()
    file.write_text("192.0.2.1:6379")
    assert neighbours.address_file() == []
    monkeypatch.setattr(
        "orchestrator.nodes.authentication.foreign", lambda path: f"{path} is theirs"
    )
    (finding,) = neighbours.address_file()
    assert finding.verdict == "bad" and f"{file} is theirs; give HOST:PORT" in finding.line


def test_nodes_of_ours_in_open_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state after `ray start` without a private folder."""
    ours, theirs = (
        ray_internals.Raylet(uid, "192.0.2.1:6379", tmp_path) for uid in (os.geteuid(), UID)
    )
    monkeypatch.setattr(ray_internals, "raylets_here", lambda: [ours, theirs])
    (finding,) = neighbours.clusters()
    assert finding.verdict == "good" and "closed to other users" in finding.line
    monkeypatch.setattr(
        "orchestrator.nodes.authentication.replaceable", lambda path: f"{path} is open"
    )
    (finding,) = neighbours.clusters()
    assert finding.verdict == "bad" and f"{tmp_path} is open; start Ray in a" in finding.line
    monkeypatch.undo()
    assert neighbours.session("node", tmp_path / "none").verdict == "bad"


@needs_root
def test_ports_at_which_another_user_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening([]) as port, socket.create_server(("127.0.0.1", 0)) as own:
        flags = {port: "--port", own.getsockname()[1]: "--dashboard-port"}
        monkeypatch.setattr(neighbours, "PORTS", flags)
        (finding,) = neighbours.ports()
    assert finding.verdict == "note"
    assert f"port {port}: is another user's (uid {UID}), who gets what you send" in finding.line


def test_a_run_that_others_may_change(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert neighbours.results(run) == []
    (run / "shards").mkdir(parents=True)
    run.chmod(0o2775)  # for a group, as it may be wanted
    assert neighbours.results(run) == []
    (run / "shards").chmod(0o777)
    (finding,) = neighbours.results(run)
    assert finding.verdict == "bad" and f"chmod o-w {run / 'shards'}" in finding.line
    (run / "shards").chmod(0o755)
    if os.geteuid() == 0:
        os.chown(run / "shards", UID, UID)
        (finding,) = neighbours.results(run)
        assert finding.verdict == "note" and f"belongs to another user (uid {UID})" in finding.line


@needs_root
def test_a_token_in_a_folder_of_another_user(tmp_path: Path) -> None:
    file = tmp_path / "theirs" / "auth_token"
    file.parent.mkdir()
    file.touch(mode=0o600)
    assert verdicts(machine.token({}, file)) == {"good"}
    os.chown(file.parent, UID, UID)
    assert any("may be another user's" in finding.line for finding in machine.token({}, file))
