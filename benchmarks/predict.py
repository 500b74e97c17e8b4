"""Speed of `elemgrid predict`: its start, and structures a second, from their text to the table.

    python -m benchmarks.predict --run RUN --data PATH/matbench_phonons.json.gz [--model KEY]

The start is that of the whole command with an exported folder and one structure. The rates are of
one process, and of the workers of Ray once they are all at work; the crystals are repeated.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, repeat
from pathlib import Path

import ray

from benchmarks.child import in_one_line
from benchmarks.harness import Report, add_flags, alone
from orchestrator.export.flags import ExportOptions
from orchestrator.export.job import start as export
from orchestrator.nodes import cluster
from orchestrator.predict.folder import load
from orchestrator.predict.inputs import blocks_of, sources_of
from orchestrator.predict.job import rows_of
from orchestrator.predict.work import in_order
from trainables.crystals.crystal import Entry

START = 3.0  # seconds at most
RATE = 5000  # structures a second on two cores, at least
TIMES = 48  # that the data set is predicted
WARM = 4  # blocks of a worker that are not counted, as its modules are imported before the first

Numbered = Iterator[tuple[int, list[Entry]]]


def started(folder: Path, structure: Path) -> float:
    """Seconds of a command that predicts one structure."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "orchestrator.predict", str(folder), str(structure)]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begun


def rate(folder: Path, blocks: Sequence[list[Entry]], workers: int) -> float:
    """Structures a second, once all workers are at work."""
    work = partial(rows_of, load(folder), level=0.95, members=False)
    numbered: Numbered = enumerate(chain.from_iterable(repeat(blocks, TIMES)))
    begun, rows = None, 0
    for (number, _), table in in_order(work, numbered, workers, None):
        if number == WARM * workers:
            begun = time.perf_counter()
        elif begun is not None:
            rows += len(table["id"])
    assert begun is not None
    return rows / (time.perf_counter() - begun)


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the table and writes `predict.json`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="run directory of hybrid_grid")
    parser.add_argument("--data", required=True, help="structures, as of predict")
    parser.add_argument("--model", default="ensemble", help="as of predict")
    add_flags(parser, repeats=3)
    options = parser.parse_args(argv)
    blocks = list(blocks_of(sources_of([options.data], follow_links=False)))
    report = Report("predict", {"model": options.model}, results=options.results)
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as place:
        folder, structure = Path(place) / "models", Path(place) / "one.json"
        export(ExportOptions(run=options.run, folder=folder, task=None, model=options.model))
        structure.write_text(blocks[0][0].text)
        once = partial(alone, repeats=options.repeats)
        name = f"start, one structure (at most {START:g} s)"
        report.add(once(name, lambda: started(folder, structure), unit="s"))
        report.add(once("one process", lambda: rate(folder, blocks, 1), unit="structures/s"))
        with cluster.connected(None, 1):
            assert ray.is_initialized()
            name = f"{cores} workers (at least {RATE} on 2 cores)"
            report.add(once(name, lambda: rate(folder, blocks, cores), unit="structures/s"))
    report.finish()


if __name__ == "__main__":
    in_one_line(main)
