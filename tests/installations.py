"""Real environments that have some of the installed distributions and no others."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackagePath, distribution, distributions
from pathlib import Path

from scripts.lock import needed

ROOT = Path(__file__).resolve().parents[1]


def project() -> dict[str, list[str]]:
    """What elemgrid needs: that of `pip install elemgrid` by "", that of an extra by its name."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"": found["dependencies"], **found["optional-dependencies"]}


def environment(folder: Path, *extras: str) -> Path:
    """Makes an environment as `pip install elemgrid[EXTRAS]` would; returns its Python.

    What requirements name, directly and indirectly, is linked from this environment: what they
    forget is not there.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = next((folder / "lib").glob("python*")) / "site-packages"
    lines = [line for extra in ("", *extras) for line in project()[extra]]
    for name in needed(lines):
        link(distribution(name).files or (), site)
    # an editable installation, without what would lead back into this environment
    shutil.copytree(_home("elemgrid"), site / _home("elemgrid").name)
    (site / "elemgrid.pth").write_text(f"{ROOT}\n")
    return folder / "bin" / "python"


def link(files: Iterable[PackagePath], site: Path) -> None:
    """Links the folders and modules of a distribution into another site-packages."""
    for file in files:
        first = Path(file.parts[0])
        if first.name in ("..", "/", "__pycache__") or file.is_absolute():
            continue
        _link(Path(str(file.locate())).parents[len(file.parts) - 1] / first, site / first)


def _link(there: Path, here: Path) -> None:
    if not here.exists():
        here.symlink_to(there)


def _home(name: str) -> Path:
    """The folder of an installed distribution's metadata; a source tree may have others."""
    files = (file for one in distributions(name=name) for file in one.files or ())
    file = next(file for file in files if file.name == "METADATA")
    return Path(str(file.locate())).parent
