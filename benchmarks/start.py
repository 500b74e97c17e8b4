"""The start of a small grid: from the command to the first model in training, and to its end.

    python -m benchmarks.start [--before CHECKOUT]

A worker titles its process `ray::ArrayTrial.train` when its first training begins, which `/proc`
shows. With another checkout of elemgrid, the two take turns.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.child import in_one_line
from benchmarks.harness import Report, add_flags, alone, compare

HERE = Path(__file__).resolve().parents[1]
GRID = ("--preset", "demo", "--dims", "8", "--mixing", "H", "--folds", "0", "--epochs", "2")
TRAINS = b"ray::ArrayTrial.train"
LIMIT = 6.0  # seconds to the first model, on an idle machine
LOOK = 0.03  # seconds between two looks


def titles() -> Iterator[bytes]:
    """The command lines of all processes, as they title themselves."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except OSError:  # it has ended
            continue


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
            if any(title.startswith(TRAINS) for title in titles()):
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
