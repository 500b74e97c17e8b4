"""Packages installed in a folder, as far as their metadata tells, and grids that find them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def install(
    folder: Path, package: str, *, group: str = "elemgrid.backbones", **objects: str
) -> Path:
    """Metadata of a package that registers objects in a group: name="module:object"."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    entries = [f"{name} = {value}" for name, value in objects.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *entries, ""]))
    return folder


def grid_with(packages: Path, *flags: str) -> str:
    """Runs a grid that finds the packages of a folder; returns its standard output."""
    said = subprocess.run(
        [sys.executable, "-m", "orchestrator.hybrid_grid", *flags],
        env=os.environ | {"PYTHONPATH": f"{packages}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert said.returncode == 0, said.stderr
    return said.stdout
