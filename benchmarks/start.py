"""The start of a small grid: from the command to the first model in training, and to its end.

    python -m benchmarks.start [--before CHECKOUT]

A worker titles its process `ray::ArrayTrial.train` when its first training begins. With another
checkout of elemgrid, the two take turns.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.child import in_one_line
from benchmarks.harness import Report, add_flags, alone, compare

HERE = Path(__file__).resolve().parents[1]
GRID = ("--preset", "demo", "--dims", "8", "--mixing", "H", "--folds", "0", "--epochs", "2")
TRAINS = "ray::ArrayTrial.train"
LIMIT = 6.0  # seconds to the first model, on an idle machine
LOOK = 0.03  # seconds between two looks


def titles(job: int) -> Iterator[str]:
    """The command lines of a job's processes, as they title themselves."""
    for process in psutil.Process(job).children(recursive=True):
        with suppress(psutil.Error):  # it has ended
            yield " ".join(process.cmdline())


def start(checkout: Path) -> float:
    """Seconds from the command to the first model in training.

    Raises:
        ValueError: it ended before.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "orchestrator.hybrid_grid",
            *GRID,
            "--run",
            f"{folder}/run",
        ]
        begun = time.perf_counter()
        job = subprocess.Popen(
            command,
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while job.poll() is None:
            if any(title.startswith(TRAINS) for title in titles(job.pid)):
                found = time.perf_counter() - begun
                job.wait()
                return found
            time.sleep(LOOK)
    raise ValueError(f"{checkout}: the grid ended with status {job.returncode} before a training")


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the table and writes `start.json`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="of another version")
    add_flags(parser, repeats=5)
    options = parser.parse_args(argv)
    report = Report("start", {"before": str(options.before or "")}, results=options.results)
    name, repeats = f"to the first model in training (at most {LIMIT:g} s)", options.repeats
    if options.before is None:
        report.add(alone(name, lambda: start(HERE), unit="s", repeats=repeats))
    else:
        before = options.before.resolve()
        sides = (lambda: start(HERE)), (lambda: start(before))
        report.add(compare(name, *sides, unit="s", repeats=repeats))
    report.finish()


if __name__ == "__main__":
    in_one_line(main)
