"""Makes the environment of a peer that cannot share ours.

    python -m benchmarks.peers.setup .venv/peers/matgl

It gets the torch that we have, so that both sides run on the same one, and then matgl.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

MATGL = "matgl==4.1.2"


def commands(folder: Path, torch: str) -> list[list[str]]:
    """The commands, in order."""
    python = str(folder / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return [
        [sys.executable, "-m", "venv", str(folder)],
        [*pip, torch],
        [*pip, torch, MATGL],  # torch again, so that no other version takes its place
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Makes the environment, or ends with pip's message."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(argv).folder
    torch = f"torch=={version('torch').partition('+')[0]}"
    for command in commands(folder, torch):
        if subprocess.run(command, check=False).returncode:
            sys.exit(f"benchmarks.peers.setup: failed at: {' '.join(command)}")


if __name__ == "__main__":
    main()
