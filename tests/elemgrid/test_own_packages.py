"""A user's own folder called as one of our packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in a folder, whose modules it finds before all others."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": f"{folder}:{ROOT}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("name", ["analysis", "trainables", "orchestrator"])
@pytest.mark.parametrize("as_module", [True, False])
def test_a_hidden_package_is_named(tmp_path: Path, name: str, as_module: bool) -> None:
    theirs = tmp_path / f"{name}.py" if as_module else tmp_path / name / "__init__.py"
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("mine = 1\n")
    told = f"elemgrid needs its own package '{name}', and Python finds {theirs}"
    job = python(tmp_path, "-m", "elemgrid", "predict", "--help")
    assert job.returncode == 2
    assert job.stderr == f"error: {told}; rename that, or start elsewhere\n"
    if name == "analysis" and as_module:  # of others an editable install finds our parts anyway
        job = python(tmp_path, "-m", "orchestrator.predict", "run", "ionic")
        assert job.returncode == 2 and job.stderr.endswith(
            f"error: {told}; rename that, or start elsewhere\n"
        )
    used = python(tmp_path, "-c", f"import {name}, elemgrid; assert {name}.mine; elemgrid.load_run")
    assert f"ImportError: {told}" in used.stderr


def test_nothing_is_said_otherwise(tmp_path: Path) -> None:
    (tmp_path / "analysis_of_mine").mkdir()
    (tmp_path / "analysis").mkdir()  # a folder without modules hides nothing
    (tmp_path / "analysis" / "notes.txt").write_text("mine")
    job = python(tmp_path, "-m", "elemgrid")
    assert job.returncode == 0 and "predict" in job.stdout and not job.stderr


def test_importing_takes_no_library(tmp_path: Path) -> None:
    """They take seconds, and a part of them may not be installed."""
    code = (
        "import sys, elemgrid; dir(elemgrid)\n"
        "heavy = {'torch', 'ray', 'pandas', 'numpy', 'sklearn', 'pymatgen', 'pyarrow'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert python(tmp_path, "-c", code).stdout == "[]\n"


def test_an_unknown_name_is_no_attribute(tmp_path: Path) -> None:
    said = python(tmp_path, "-c", "import elemgrid; elemgrid.nothing").stderr
    assert "AttributeError: module 'elemgrid' has no attribute 'nothing'" in said
