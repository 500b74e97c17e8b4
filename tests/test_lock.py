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
RUN, DEV, IMAGE = (ROOT / f"requirements{part}.lock" for part in ("", "-dev", "-image"))
CONSTRAINTS = lock.pins(ROOT / "constraints.txt")


def test_they_hold_the_versions_of_constraints() -> None:
    """`make lock` writes them anew after a change."""
    locked = lock.pins(RUN) | lock.pins(DEV)
    locked.pop(lock.UNFROZEN)
    assert locked == CONSTRAINTS
    assert lock.pins(RUN).keys().isdisjoint(lock.pins(DEV))
    assert lock.pins(IMAGE).keys().isdisjoint(CONSTRAINTS)
    assert "boto3" in lock.pins(IMAGE)


def test_what_elemgrid_needs_is_in_the_first() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert lock.needed(project["dependencies"]) == set(lock.pins(RUN))


@pytest.mark.parametrize("path", [RUN, DEV, IMAGE], ids=lambda path: path.name)
def test_every_version_has_a_digest(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    lines = [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line[0] != "#"]
    assert len(lines) == len(lock.pins(path))
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==\S+( --hash=sha256:[0-9a-f]{64})+", line)


def test_both_builds_of_torch_are_locked() -> None:
    for digest in lock.CPU_TORCH[CONSTRAINTS["torch"]]:
        assert digest in RUN.read_text()


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
    """What the lock is for: pip holds the files of an index against it."""
    wheel = tmp_path / "six-1.17.0-py2.py3-none-any.whl"
    wheel.write_bytes(b"not what was locked")
    (line,) = re.findall(r"^six==(?:.*\\\n)*.*$", RUN.read_text(), re.M)
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
