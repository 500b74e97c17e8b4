"""The featurising job on a data set repeated any number of times: its speed and its memory.

python -m benchmarks.featurise_job      # then one request per line, as benchmarks/child.py sends
"""

from __future__ import annotations

import dataclasses
import logging
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray

from benchmarks.peers.serving import serve
from benchmarks.watch import Watch
from orchestrator.data import entries
from orchestrator.data.datasets import resolve
from orchestrator.data.featurise import featurise_source
from orchestrator.nodes import cluster
from trainables.crystals.crystal import Entry
from trainables.crystals.sources import Source
from trainables.models.backbones import BACKBONES, representations


class Repeated:
    """The crystals of a source repeated, each time under other ids."""

    name, target_name, unit = "repeated", "target", None

    def __init__(self, source: Source, times: int) -> None:
        self._source, self._times = source, times
        self.cells = source.cells

    def digest(self) -> str:
        return f"{self._source.digest()} {self._times}"

    def count(self) -> int | None:
        """Number of entries, if the source knows its own."""
        count = self._source.count()
        return None if count is None else count * self._times

    def entries(self) -> Iterator[Entry]:
        """Makes the entries lazily from a list that is read once."""
        own = list(self._source.entries())
        for row in range(len(own) * self._times):
            again, place = divmod(row, len(own))
            yield dataclasses.replace(
                own[place],
                row=row,
                id=f"{own[place].id}-{again}",
                origin=f"repeated:{row + 1}",
            )


@dataclasses.dataclass(frozen=True)
class Cost:
    """The measurements of a job.

    Attributes:
        whole: seconds.
        seconds: from its second block to its last; before them, workers start.
        crystals: number processed in that time.
        watch: over the whole job.
    """

    whole: float
    seconds: float
    crystals: int
    watch: Watch


def cost(source: Source, folder: Path) -> Cost:
    """Featurises a source for both backbones, on the running Ray runtime."""
    reports: list[tuple[float, int]] = []
    start = time.perf_counter()
    with Watch() as watch:
        featurise_source(
            source,
            representations(BACKBONES),
            folder,
            max_bad=1.0,
            max_atoms=1000,
            on_rows=lambda rows: reports.append((time.perf_counter(), rows)),
        )
    (begin, before), (end, rows) = reports[1], reports[-1]
    return Cost(time.perf_counter() - start, end - begin, rows - before, watch)


def job(*, source: str, times: int, workers: int) -> dict[str, Any]:
    """Runs the job in this process, on a Ray runtime with `workers` cores.

    Args:
        source: a data set as `--tasks` takes it.
    """
    repeated = Repeated(resolve(source), times)
    ray.init(
        address="local",
        num_cpus=workers,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        with cluster.connected(None, 1), tempfile.TemporaryDirectory() as folder:
            # The first job of a runtime starts its workers and imports their modules, if it is not
            # so small that the driver does it.
            entries.FEW = 0
            cost(Repeated(resolve(source), 1), Path(folder) / "first")
            taken = cost(repeated, Path(folder) / "job")
    finally:
        ray.shutdown()
    return {
        "crystals": taken.crystals,
        "whole_seconds": taken.whole,
        "seconds_a_crystal": taken.seconds / taken.crystals,
        "all_cpu_seconds": taken.watch.cpu_seconds,
        "driver_peak": taken.watch.peak,
        "worker_peak": taken.watch.worker_peak,
    }


if __name__ == "__main__":
    serve({"job": job})
