"""requirements*.lock pin what constraints.txt pins, each file of it by its SHA-256."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scripts import lock

ROOT = Path(__file__).resolve().parents[1]
FILES = {part: ROOT / f"requirements{part}.lock" for part in ("", "-cpu", "-cuda", "-aws", "-dev")}
CONSTRAINTS = lock.pins(ROOT / "constraints.txt")
PINS = {part: lock.pins(path) for part, path in FILES.items()}


@pytest.mark.parametrize("build", ["-cpu", "-cuda"])
def test_they_hold_the_versions_of_constraints(build: str) -> None:
    """`make lock` writes them anew after a change."""
    held = PINS[""] | PINS["-dev"] | PINS[build]
    differing = {
        name: held.get(name, "").partition("+")[0] + f" instead of {version}"
        for name, version in CONSTRAINTS.items()
        if held.get(name, "").partition("+")[0] != version
    }
    assert differing == {}


def test_no_version_stands_in_two_files() -> None:
    """Or pip refuses them together: the builds of torch, and what is installed after all else."""
    together = [part for part in PINS if part not in ("-cpu", "-aws")]
    names = [name for part in together for name in PINS[part]]
    assert len(names) == len(set(names))


def test_what_elemgrid_needs_is_in_the_first() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    # which of torch's own requirements are installed depends on its build
    needed = lock.needed(lock.runs_with(project)) - set(PINS["-cuda"])
    assert needed == set(PINS[""])


@pytest.mark.parametrize("path", FILES.values(), ids=lambda path: path.name)
def test_every_version_has_a_digest(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    lines = [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line[0] != "#"]
    assert len(lines) == len(lock.pins(path))
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==\S+( --hash=sha256:[0-9a-f]{64})+", line)


def test_both_builds_of_torch_are_locked() -> None:
    """Each by its own file: pip would take whichever it likes of two that fit."""
    assert PINS["-cuda"]["torch"] == CONSTRAINTS["torch"]
    ((build, digests),) = lock.CPU_TORCH.items()
    assert PINS["-cpu"] == {"torch": build}
    assert all(digest in FILES["-cpu"].read_text() for digest in digests)


def test_files_of_other_systems_are_left_out() -> None:
    def listed(*names: str) -> list[dict[str, str]]:
        return [{"filename": name} for name in names]

    tags = lock.tags()
    wheels, sources = lock.files(
        listed(
            "x-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
            "x-1.0-cp39-abi3-manylinux2014_aarch64.whl",
            "x-1.0-py3-none-any.whl",
            "x-1.0-cp312-cp312-manylinux_2_28_x86_64.whl",
            "x-1.0-cp311-cp311-win_amd64.whl",
            "x-1.0.1-py3-none-any.whl",
            "x-1.0.tar.gz",
            "x-0.1-py36+-none-any.whl",
        ),
        "1.0",
        tags,
    )
    assert [file["filename"].split("-", 2)[2] for file in wheels] == [
        "cp311-cp311-manylinux_2_28_x86_64.whl",
        "cp39-abi3-manylinux2014_aarch64.whl",
        "py3-none-any.whl",
    ]
    assert [file["filename"] for file in sources] == ["x-1.0.tar.gz"]


def test_a_file_with_another_digest_is_not_installed(tmp_path: Path) -> None:
    """The purpose of the lock: pip verifies an index's files by it."""
    wheel = tmp_path / "six-1.17.0-py2.py3-none-any.whl"
    wheel.write_bytes(b"not what was locked")
    (line,) = re.findall(r"^six==(?:.*\\\n)*.*$", FILES[""].read_text(), re.M)
    (tmp_path / "six.lock").write_text(line)
    asked = ["--no-index", "--find-links", str(tmp_path), "--require-hashes", "-r", "six.lock"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--target", "there", *asked],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={"PATH": "/usr/bin:/bin", "PIP_CONFIG_FILE": "/dev/null"},
    )  # fmt: skip
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not (tmp_path / "there").exists()
