"""`.ci/run`: what its last lines tell, where `make` is one that only prints."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAKE = """#!/usr/bin/env bash
case $1 in
    test-fast)
        for number in {1..10}; do echo "$number.00s call     tests/test_fast.py::test_$number"; done
        echo "3800 passed in 200.00s" ;;
    test-ray)
        echo "12.34s setup    tests/test_ray.py::test_it"
        echo "0.50s teardown tests/test_ray.py::test_it"
        echo "180 passed in 400.00s" ;;
esac
[[ $1 != "${BROKEN:-}" ]]
"""


def run(folder: Path, broken: str = "") -> subprocess.CompletedProcess[str]:
    """What the script does with another `make`."""
    script = folder / "checkout" / ".ci" / "run"
    script.parent.mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", script)
    (folder / "make").write_text(MAKE)
    (folder / "make").chmod(0o755)
    place = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "BROKEN": broken}
    return subprocess.run(
        ["bash", script], env=place, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_slowest_of_both_runs_and_the_time_of_each_rung(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    *_, fast, ray = (line for line in done.stdout.splitlines() if " passed in " in line)
    assert (fast, ray) == ("3800 passed in 200.00s", "180 passed in 400.00s")
    slowest = done.stdout.partition("slowest tests:\n")[2].splitlines()[:-1]
    assert [line.split("s ")[0] for line in slowest] == [
        "12.34",
        *(f"{n}.00" for n in range(10, 1, -1)),
    ]
    total = done.stdout.splitlines()[-1]
    rungs = r"setup \d+ s, lint \d+ s, test-fast \d+ s, test-ray \d+ s, of 900 s"
    assert re.fullmatch(rf"total: \d+ s \({rungs}\)", total), total


@pytest.mark.parametrize("broken", ["setup", "lint", "test-fast", "test-ray"])
def test_a_rung_that_breaks_is_the_last(tmp_path: Path, broken: str) -> None:
    done = run(tmp_path, broken)
    assert done.returncode != 0
    assert done.stdout.splitlines()[-1].startswith("total: ")
    assert ("3800 passed" in done.stdout) == (broken in ("test-fast", "test-ray"))
    assert ("180 passed" in done.stdout) == (broken == "test-ray")
