"""Speed of making graphs, quotient graphs and orbit graphs: on one core, and as a job of Ray.

    python -m benchmarks.featurise --data PATH/matbench_phonons.json.gz

On one core, reading the file is excluded; the neighbour search for both backbones is included, and
for orbit graphs the search for the space group. The job includes everything, from text to shards:
the crystals are repeated under other ids, one worker and two take turns, and a job of eight times
the size shows whether memory grows.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.child import Child, in_one_line
from benchmarks.harness import Figure, Report, Side, Spread, add_flags, alone, compare
from trainables.crystals.crystal import Crystal, Entry
from trainables.crystals.parsing import parse
from trainables.crystals.sources import open_source
from trainables.models.backbones import BACKBONES, representations
from trainables.representations.featurise import Featurised, featurise
from trainables.representations.graph import CrystalGraph, Graphs
from trainables.representations.neighbours import find_neighbours
from trainables.representations.orbit_graph import OrbitGraph, OrbitGraphs
from trainables.representations.quotient import quotient

BLOCK = 256  # crystals at once, about what a block of the featurising job holds
A_SECOND = 5000  # crystals per second that one core has to reach
ORBITS_A_SECOND = 500
ORBITS = OrbitGraph(name="orbits-nn12-r8", version=1, cutoff=8.0, max_neighbours=12)
BIGGER = 8  # times the crystals, to see whether memory grows
CHILD = (sys.executable, "-m", "benchmarks.featurise_job")


def rate(crystals: int, work: Callable[[], object]) -> Side:
    """A side that measures crystals per second."""

    def side() -> float:
        start = time.perf_counter()
        work()
        return crystals / (time.perf_counter() - start)

    return side


def blocks(rows: Sequence[Any]) -> list[Sequence[Any]]:
    """Cuts rows into blocks of at most `BLOCK`."""
    return [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]


def graphs_of(crystals: Sequence[Sequence[Crystal]], kinds: Sequence[CrystalGraph]) -> list[Graphs]:
    """The full graphs of blocks of crystals."""
    found = (find_neighbours(part, kinds) for part in crystals)
    return [Graphs.full(neighbours, kind) for neighbours in found for kind in kinds]


def quotients(graphs: Sequence[Graphs]) -> list[Graphs]:
    """The quotients of graphs."""
    return [quotient(g) for g in graphs]


@contextmanager
def pinned() -> Iterator[None]:
    """Restricts the process to one core, whatever number of threads libraries choose."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def one_core(report: Report, entries: Sequence[Entry], repeats: int) -> None:
    """Adds the figures of this process."""
    crystals = blocks([parse(entry) for entry in entries])

    def add(name: str, work: Callable[[], object], bar: float | None = None) -> None:
        side = rate(len(entries), work)
        report.add(alone(name, side, unit="crystals/s", repeats=repeats, bar=bar))

    both = representations(BACKBONES)
    for name, kinds in {**{kind.name: [kind] for kind in both}, "both": both}.items():

        def graphs_and_quotients(kinds: Sequence[CrystalGraph] = kinds) -> list[Graphs]:
            return quotients(graphs_of(crystals, kinds))

        add(f"{name}: graphs", partial(graphs_of, crystals, kinds))
        add(f"{name}: their quotients", partial(quotients, graphs_of(crystals, kinds)))
        add(f"{name}: graphs and quotients", graphs_and_quotients, bar=A_SECOND)

    def orbits() -> list[OrbitGraphs]:
        return [ORBITS.build(find_neighbours(part, [ORBITS])) for part in crystals]

    add("orbits: symmetrised, and their graphs", orbits, bar=ORBITS_A_SECOND)
    made = orbits()
    add("orbits: Wigner matrices, on loading", lambda: [graphs.prepared() for graphs in made])

    def all_of_it() -> list[Featurised]:
        return [featurise(part, both, max_atoms=1000) for part in blocks(entries)]

    add("both: from text, with all checks", all_of_it)


def job(source: str, times: int, workers: int, answers: list[dict[str, Any]]) -> Side:
    """Seconds per crystal of a job in a fresh process; its answer is appended to `answers`."""

    def side() -> float:
        with Child("the job", CHILD) as child:
            answer = child.ask("job", source=source, times=times, workers=workers)
        answers.append(answer)
        return float(answer["seconds_a_crystal"])

    return side


def on_ray(report: Report, options: argparse.Namespace) -> None:
    """Adds the figures of the job: two workers compared with one, and memory of a long job."""
    answers: dict[str, list[dict[str, Any]]] = {"one": [], "two": [], "long": []}
    data = str(options.data.resolve())
    pair = compare(
        "the job: two workers (ours), one",
        job(data, options.times, 2, answers["two"]),
        job(data, options.times, 1, answers["one"]),
        unit="s/crystal",
        repeats=options.repeats,
        warm_up=0,
        facts=answers,
    )
    report.add(pair)
    rates = Spread(tuple(1 / seconds for seconds in pair.ours.values))
    report.add(Figure("the job: two workers", "crystals/s", rates))
    job(data, options.times * BIGGER, 2, answers["long"])()
    for place in ("driver", "worker"):
        peaks = Spread(tuple(answer[f"{place}_peak"] / 2**20 for answer in answers["two"]))
        report.add(Figure(f"the job: {place}'s memory", "MiB", peaks))
        ratio = answers["long"][0][f"{place}_peak"] / 2**20 / peaks.median
        report.add(Figure(f"{place}'s memory × {BIGGER} crystals", "MiB/MiB", Spread((ratio,))))


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the table and writes `featurise.json`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="data set, as for --tasks")
    parser.add_argument("--limit", type=int, default=2000, help="crystals on one core at most")
    parser.add_argument(
        "--times", type=int, default=8, help="how often a job has the crystals; 0 for no job"
    )
    add_flags(parser)
    options = parser.parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    entries = list(islice(open_source(options.data).entries(), options.limit))
    chosen = {"data": options.data.name, "crystals": len(entries), "times": options.times}
    report = Report("featurise", chosen, results=options.results)
    with pinned():
        one_core(report, entries, options.repeats)
    if options.times:
        on_ray(report, options)
    report.finish()


if __name__ == "__main__":
    in_one_line(main)
