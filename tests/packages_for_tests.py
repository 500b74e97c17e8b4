"""Packages that are installed in a folder, as far as their metadata tells."""

from __future__ import annotations

from pathlib import Path


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
