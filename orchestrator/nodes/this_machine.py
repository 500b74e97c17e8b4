"""This machine without Ray, as a place for work: `place.Place`."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from analysis.mapping import Map
from orchestrator.interface.errors import UsageError
from orchestrator.interface.extras import RAY
from orchestrator.nodes import hardware, processes
from orchestrator.nodes.disk import demand_storage
from orchestrator.nodes.probe import in_another_process
from orchestrator.nodes.worker import Worker

if TYPE_CHECKING:
    import pyarrow as pa

Item = TypeVar("Item")
Result = TypeVar("Result")


class ThisMachine:
    """Child processes of this one, on the CPUs that it may use."""

    is_ray = False

    @contextmanager
    def joined(self, address: str | None, cpus_per_worker: float) -> Iterator[None]:
        """Refuses the address of a cluster; processes are started for each work anew."""
        if address is not None:
            RAY.demand(f"--address {address}")
        if (named := os.environ.get("RAY_ADDRESS", "local")) != "local":
            RAY.demand(f"RAY_ADDRESS={named}")
        yield

    def ready(self, worker: Worker, address: str | None, run: Path) -> str:
        """Raises UsageError if no worker fits, or the disk of the run directory fails."""
        slots = self.slots(worker.cpus, worker.gpus)
        if not slots:
            gpus = hardware.gpus_here() if worker.gpus else 0
            raise UsageError(
                f"this machine has {hardware.cpus_here()} CPUs and {gpus} GPUs for"
                f" a worker that is to have {worker.cpus:g} and {worker.gpus:g}; lower"
                " --cpus-per-worker or --gpus-per-worker"
            )
        demand_storage(run, lambda probe: iter([(None, in_another_process(probe))]))
        return f"this machine: {slots} workers at a time"

    def fits(self, worker: Worker, address: str | None) -> int:
        """As `slots`."""
        return self.slots(worker.cpus, worker.gpus)

    def slots(self, cpus: float, gpus: float) -> int:
        """How many workers fit at once."""
        fits = [hardware.cpus_here() / cpus] if cpus else []
        fits += [hardware.gpus_here() * _sharing(gpus) // max(1, gpus)] if gpus else []
        return int(min(fits, default=0) + 1e-9)

    def memory_per_worker(self, cpus: float, gpus: float) -> float:
        """Half of a worker's share; the other half is for the training itself."""
        return hardware.FOR_WORKERS * hardware.memory_here() / max(1, self.slots(cpus, gpus)) / 2

    def hardware(self) -> dict[str, Any]:
        """The hardware, for the manifest."""
        return {
            "nodes": 1,
            "cpus": hardware.cpus_here(),
            "gpus": hardware.gpus_here(),
            "memory_gib": round(hardware.memory_here() / 2**30, 1),
            "machine": platform.machine(),
            "processor": hardware.processor(),
            "system": platform.system(),
        }

    def cpus_here(self) -> int:
        """CPUs that this process may use."""
        return hardware.cpus_here()

    def memory_here(self) -> float:
        """Bytes of memory that this process may use."""
        return hardware.memory_here()

    def is_beside_workers(self) -> bool:
        """Always."""
        return True

    def mapper(self) -> Map:
        """Python's own, in this process."""
        return map

    def in_order(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """By a process for each CPU."""
        with closing(processes.in_order(work, items, hardware.cpus_here())) as done:
            for _, result in done:
                yield result

    def keeping(
        self,
        work: Callable[[Item], Result],
        items: Iterable[Item],
        workers: int | None,
        before: Callable[[Item], Result | None],
    ) -> Iterator[tuple[Item, Result]]:
        """By so many processes."""
        yield from processes.in_order(work, items, workers or hardware.cpus_here(), before)

    def read_ahead(
        self, parts: Sequence[Callable[[], Iterator[pa.Table]]], piece: int, held: int
    ) -> Iterator[pa.Table]:
        """One part after the other, when it is used: all CPUs train."""
        for part in parts:
            yield from part()


def gpu_of(number: int, gpus: float) -> int:
    """The GPU on which the worker of this number computes: one, even if it reserves more."""
    return number * int(max(1, gpus)) // _sharing(gpus)


def _sharing(gpus: float) -> int:
    """Workers on one GPU, each of which is to have so much of it."""
    return max(1, int(1 / gpus + 1e-9))
