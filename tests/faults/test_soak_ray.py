"""A short run of random faults: the long one starts and ends as it should."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.faults


def test_three_random_faults() -> None:
    """Runs in a process of its own, as `make soak` does; it raises if a guarantee is broken."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.faults.soak", "--seed", "1", "--faults", "3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    first, *_, last = ended.stdout.splitlines()
    assert first.startswith("seed 1, 3 faults;")
    assert re.fullmatch(r"3 faults on [123] runs: nothing lost, nothing done twice", last)
