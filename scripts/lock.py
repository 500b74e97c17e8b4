"""Writes requirements*.lock: what constraints.txt pins, with the SHA-256 of each file.

    python scripts/lock.py INDEX

INDEX: address of a package index that answers in JSON (PEP 691), as the usual one does.

`pip install --require-hashes` with these files installs what they name or nothing, whatever an
index or a mirror hands out:

- requirements.lock: what elemgrid[all] needs to run, but torch;
- requirements-cpu.lock: torch without CUDA, a build that PyTorch keeps on an index of its own;
- requirements-cuda.lock: torch in its usual build, and what that needs beside;
- requirements-aws.lock: what the autoscaler of a cluster on AWS needs beside, to be installed last:
  it takes python-dateutil back to a version that boto3 allows, and ours do too;
- requirements-dev.lock: what tests and checks need beside.

Of each version those files that CPython 3.11 on Linux can take, on x86-64 or ARM; a source
distribution only where there is nothing else. Needs the environment of `make setup`, whose metadata
tell who needs what.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).resolve().parents[1]
PYTHON = (3, 11)
GLIBC = range(5, 40)  # minor versions of the manylinux wheels that are wanted
MACHINES = ("x86_64", "aarch64")
# Wheels of the build without CUDA, for x86-64 and ARM; its index answers in HTML only.
CPU_TORCH = {
    "2.13.0+cpu": (
        "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",
        "84453b69508ec79902f899c5ed9495acb9e2bbe9fda5f1d5d6f19e3c3842e1a7",
    )
}
UNFROZEN = "setuptools"  # torch needs it, and `pip freeze` leaves it out


def pins(path: Path) -> dict[str, str]:
    """Name -> version of the lines `name==version` of a file."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", path.read_text(), re.M)
    return {canonicalize_name(name): version for name, version in found}


def needed(lines: Iterable[str]) -> set[str]:
    """Names of what requirements need, directly and indirectly, in this environment."""
    left = [Requirement(line) for line in lines]
    done: set[tuple[str, str]] = set()
    while left:
        one = left.pop()
        for extra in ("", *one.extras):
            found = canonicalize_name(one.name), extra
            if found not in done:
                done.add(found)
                theirs = [Requirement(line) for line in requires(one.name) or ()]
                left += [line for line in theirs if _applies(line, extra)]
    return {name for name, _ in done}


def _applies(line: Requirement, extra: str) -> bool:
    return line.marker is None or line.marker.evaluate({"extra": extra})


def runs_with(project: Mapping[str, Any]) -> list[str]:
    """The requirements of elemgrid[all]."""
    extras = project["optional-dependencies"]
    own = [line for line in extras["all"] if not line.startswith(project["name"])]
    return [*project["dependencies"], *extras["ray"], *extras["analysis"], *own]


def resolved(index: str, package: str, *flags: str) -> dict[str, str]:
    """Name -> version of what pip would install for a package on an empty machine like this."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        asked = ["--dry-run", "--ignore-installed", "--quiet", "--report", report.name]
        subprocess.run(
            [sys.executable, "-m", "pip", "install", *asked, "--index-url", index,
             package, *flags],
            env=clean | {"PIP_CONFIG_FILE": os.devnull}, check=True,
        )  # fmt: skip
        found = json.loads(Path(report.name).read_text())["install"]
    return {canonicalize_name(one["metadata"]["name"]): one["metadata"]["version"] for one in found}


def tags() -> Collection[Tag]:
    """The tags of the requested wheels."""
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC for machine in MACHINES]
    platforms += [f"manylinux2014_{machine}" for machine in MACHINES]
    platforms += ["manylinux2010_x86_64", "manylinux1_x86_64"]
    return {
        *cpython_tags(PYTHON, platforms=platforms),
        *compatible_tags(PYTHON, platforms=platforms),
    }


def hashes(index: str, name: str, version: str, wanted: Collection[Tag]) -> list[str]:
    """SHA-256 of the files of one version."""
    asked = urllib.request.Request(
        f"{index.rstrip('/')}/{name}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        listed = json.load(answer)["files"]
    wheels, sources = files(listed, version, wanted)
    return sorted(file["hashes"]["sha256"] for file in wheels or sources)


def files(
    listed: Iterable[Mapping[str, Any]], version: str, wanted: Collection[Tag]
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """The requested wheels of a version among the files of a package, and its sources."""
    wheels, sources = [], []
    for file in listed:
        name = file["filename"]
        if name.endswith(".whl") and name.split("-")[1] == version:
            if not parse_wheel_filename(name)[3].isdisjoint(wanted):
                wheels.append(file)
        elif name.endswith(f"-{version}.tar.gz"):
            sources.append(file)
    return wheels, sources


def locked(index: str, chosen: Mapping[str, str]) -> str:
    """The lines of a file, in order of the names.

    Raises:
        SystemExit: the index has no file of a version.
    """
    wanted = tags()
    names = sorted(chosen)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda name: hashes(index, name, chosen[name], wanted), names))
    if lost := [name for name, digests in zip(names, found, strict=True) if not digests]:
        raise SystemExit(f"error: the index has no file of {', '.join(lost)} in the pinned version")
    return "".join(
        entry(name, chosen[name], digests) for name, digests in zip(names, found, strict=True)
    )


def entry(name: str, version: str, digests: Iterable[str]) -> str:
    """The lines for pip of one version."""
    parts = [f"{name}=={version}", *(f"--hash=sha256:{digest}" for digest in digests)]
    return " \\\n    ".join(parts) + "\n"


def main() -> None:
    """Writes the files."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("index", help="address of a package index that answers in JSON")
    index = parser.parse_args().index
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = pins(ROOT / "constraints.txt") | {UNFROZEN: version(UNFROZEN)}
    run = {name: pinned[name] for name in needed(runs_with(project)) - {"torch"}}
    usual = resolved(index, f"torch=={pinned['torch']}", "-c", str(ROOT / "constraints.txt"))
    aws = resolved(index, "boto3")  # whose python-dateutil is older than what is pinned
    ((cpu, digests),) = CPU_TORCH.items()
    texts = {
        "requirements.lock": locked(index, run),
        "requirements-cpu.lock": entry("torch", cpu, digests),
        "requirements-cuda.lock": locked(index, _beside(usual, run)),
        "requirements-aws.lock": locked(index, _beside(aws, run)),
        "requirements-dev.lock": locked(index, _beside(pinned, {**run, "torch": pinned["torch"]})),
    }
    for file, text in texts.items():
        note = "# By scripts/lock.py, which says what this is, from constraints.txt.\n"
        (ROOT / file).write_text(note + text)
        print(f"{file}: {text.count('==')} packages")


def _beside(chosen: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    return {name: its for name, its in chosen.items() if others.get(name) != its}


if __name__ == "__main__":
    main()
