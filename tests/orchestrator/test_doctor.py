"""What the doctor finds amiss, by making it so."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from orchestrator import doctor
from orchestrator.checkup import machine
from orchestrator.checkup.cluster_file import look_at_file
from orchestrator.checkup.finding import Finding

ROOT = Path(__file__).resolve().parents[2]


def verdicts(findings: list[Finding]) -> set[str]:
    return {finding.verdict for finding in findings}


def test_a_sound_machine_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setattr(machine, "TOKEN_FILE", tmp_path / "none")
    assert doctor.main(["--run", str(tmp_path / "runs" / "new")]) == 0
    said = capsys.readouterr().out
    for what in ("Python", "kernels", "disk", "open files", "GPU"):
        assert what in said
    assert "nothing is bad" in said
    assert not (tmp_path / "runs").exists()


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


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a: [", b"- 1"])
def test_what_is_no_cluster_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    assert doctor.main(["--run", str(tmp_path), "--cluster", str(path)]) == 1
    (finding,) = look_at_file(path)
    assert finding.verdict == "bad" and "\n" not in finding.line


def test_wrong_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--adress", "x"]) == 2
    assert "did you mean --address" in capsys.readouterr().err


@pytest.mark.ray
def test_every_node_is_asked(
    tmp_path: Path, ray_cluster: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    from orchestrator.checkup.nodes import look_at_nodes

    found = look_at_nodes(tmp_path / "run")
    assert len(found) == 2 and verdicts(found) == {"good"}
    assert "as here" in found[0].line and "GiB free" in found[1].line
    assert not (tmp_path / "run").exists()
