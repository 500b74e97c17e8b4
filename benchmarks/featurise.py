"""How fast crystals become graphs and quotient graphs, on one core.

    OMP_NUM_THREADS=1 python -m benchmarks.featurise PATH/matbench_phonons.json.gz

Reading and parsing the file is not in the numbers; the neighbour search for both kinds of graph is.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import date
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from trainables.crystals.crystal import Crystal
from trainables.crystals.graph import GRAPH_KINDS, GraphKind, Graphs
from trainables.crystals.neighbours import build_graphs, find_neighbours
from trainables.crystals.parsing import parse
from trainables.crystals.quotient import quotient
from trainables.crystals.sources.matbench import MatBench

REPEATS = 5
BLOCK = 256  # crystals at once, about what a block of the featurising job holds


def seconds(work: Callable[[], object]) -> float:
    """Median wall time of `REPEATS` calls, after one that warms up."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def blocks(crystals: Sequence[Crystal]) -> list[Sequence[Crystal]]:
    """The crystals in blocks of at most `BLOCK`."""
    return [crystals[start : start + BLOCK] for start in range(0, len(crystals), BLOCK)]


def measure(crystals: Sequence[Crystal], kinds: Sequence[GraphKind]) -> dict[str, float]:
    """Seconds for the graphs of `kinds`, for their quotients, and for both together."""
    parts = blocks(crystals)

    def graphs() -> list[Graphs]:
        return [g for part in parts for g in build_graphs(find_neighbours(part, kinds), kinds)]

    made = graphs()
    return {
        "graphs": seconds(graphs),
        "quotients": seconds(lambda: [quotient(g) for g in made]),
        "both": seconds(lambda: [quotient(g) for g in graphs()]),
    }


def main() -> None:
    """Prints crystals/s by kind of graph, with machine and versions."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("path", type=Path, help="a MatBench .json.gz")
    parser.add_argument("--limit", type=int, default=2000, help="crystals at most (default 2000)")
    arguments: Any = parser.parse_args()
    entries = islice(MatBench(arguments.path).entries(), arguments.limit)
    crystals = [parse(entry) for entry in entries]
    atoms = sum(len(crystal.numbers) for crystal in crystals)
    packages = " ".join(f"{name} {version(name)}" for name in ("numpy", "pymatgen"))
    print(
        f"{arguments.path.name}: {len(crystals)} crystals, {atoms} atoms; median of {REPEATS}; "
        f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, "
        f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}, "
        f"python {platform.python_version()} {packages}"
    )
    print(f"{'crystals/s':<16}{'graphs':>10}{'quotients':>11}{'both':>10}")
    for name, kinds in {
        **{kind.name: [kind] for kind in GRAPH_KINDS.values()},
        "both kinds": list(GRAPH_KINDS.values()),
    }.items():
        took = measure(crystals, kinds)
        rates = [len(crystals) / took[part] for part in ("graphs", "quotients", "both")]
        print(f"{name:<16}{rates[0]:>10.0f}{rates[1]:>11.0f}{rates[2]:>10.0f}")


if __name__ == "__main__":
    main()
