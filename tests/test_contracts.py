"""Training runs without Ray and without pymatgen: imported in a process that has neither.

The package contracts in pyproject.toml read the source; this test runs it, and so also finds what
the import of a parent package or of a third library drags in.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Run in a fresh interpreter, so that what other tests have imported does not count.
IMPORT_ALL = """
import importlib, pkgutil, sys

forbidden, packages = set(sys.argv[1].split(",")), sys.argv[2:]


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in forbidden:
            raise ModuleNotFoundError(f"{name} is forbidden here", name=name)


sys.meta_path.insert(0, Absent())
for package in packages:
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(getattr(root, "__path__", ()), prefix=f"{package}."):
        importlib.import_module(module.name)
        print(module.name)
"""


def import_without(forbidden: str, *packages: str) -> subprocess.CompletedProcess[str]:
    """Import all modules of `packages` where the libraries `forbidden` (a,b,…) are absent."""
    return subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, forbidden, *packages],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("forbidden", "packages"),
    [
        (
            "ray,pymatgen,monty,analysis,orchestrator",
            ["trainables.training", "trainables.models", "trainables.elements"],
        ),
        ("ray,analysis,orchestrator", ["trainables"]),
        ("ray,torch,trainables,orchestrator", ["analysis"]),
    ],
)
def test_imports_without(forbidden: str, packages: list[str]) -> None:
    done = import_without(forbidden, *packages)
    assert done.returncode == 0, done.stderr[-2000:]
    for package in packages:
        assert f"\n{package}." in f"\n{done.stdout}", f"{package} has no modules: was it moved?"


def test_the_ban_bites() -> None:
    """A forbidden library is really out of reach, however deep, and other libraries are not."""
    done = import_without("pymatgen", "pymatgen.core")
    assert done.returncode != 0
    assert "pymatgen is forbidden here" in done.stderr
    assert import_without("pymatgen", "json").returncode == 0


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("orchestrator/runs/layout.py", "from orchestrator.nodes import owners", "inside orchestr"),
        ("trainables/crystals/crystal.py", "from trainables.training import fit", "inside trainab"),
        ("analysis/elements.py", "from analysis import tables", "no circle of files or folders"),
        ("analysis/elements.py", "import torch", "analysis knows neither Ray nor torch"),
    ],
)
def test_an_import_against_the_rules_is_found(
    file: str, line: str, broken: str, tmp_path: Path
) -> None:
    for package in ("trainables", "analysis", "orchestrator"):
        shutil.copytree(ROOT / package, tmp_path / package)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with open(tmp_path / file, "a") as module:
        module.write(f"\n{line}  # against the rules\n")
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert re.search(rf"{broken}[^A-Z]* BROKEN", said), said
