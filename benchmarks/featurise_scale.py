"""The featurising job on many crystals: two workers compared with one, and the driver's memory.

    python -m benchmarks.featurise_scale

The crystals are those of the embedded set, repeated under other ids. Each job runs in a process of
its own with a Ray runtime of its own, and writes the shards of all backbones. Times are from its
second block to its last; memory is private memory, at its largest.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from benchmarks.child import in_one_line
from benchmarks.featurise import job
from benchmarks.harness import Figure, Report, Spread, add_flags, compare
from orchestrator.data.datasets import EMBEDDED
from trainables.crystals.ionic import IonicSource

FASTER = 1.6  # what a second worker has to bring, on two cores


def scale(report: Report, crystals: int, repeats: int) -> float:
    """Adds the figures of about so many crystals; returns the driver's memory in MiB."""
    times = max(1, round(crystals / len(list(IonicSource().entries()))))
    answers: dict[str, list[dict[str, Any]]] = {"one": [], "two": []}
    report.add(
        compare(
            f"{crystals} crystals: two workers (ours), one",
            job(EMBEDDED, times, 2, answers["two"]),
            job(EMBEDDED, times, 1, answers["one"]),
            unit="s/crystal",
            repeats=repeats,
            warm_up=0,
            bar=FASTER,
            facts=answers,
        )
    )
    peaks = Spread(tuple(answer["driver_peak"] / 2**20 for answer in answers["two"]))
    report.add(Figure(f"{crystals} crystals: driver's memory", "MiB", peaks))
    return peaks.median


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the table and writes `featurise_scale.json`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--few", type=int, default=10_000, help="crystals of the short job")
    parser.add_argument("--many", type=int, default=100_000, help="crystals of the long job")
    add_flags(parser, repeats=3)
    options = parser.parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sizes = {"few": options.few, "many": options.many}
    report = Report("featurise_scale", sizes, results=options.results)
    few, many = (scale(report, crystals, options.repeats) for crystals in sizes.values())
    report.add(Figure("growth of the driver's memory", "MiB", Spread((many - few,))))
    report.finish()


if __name__ == "__main__":
    in_one_line(main)
