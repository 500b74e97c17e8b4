"""Ray as a place for work: `place.Place`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from analysis.mapping import Map
from orchestrator.nodes import actors, cluster, preflight, ray_internals, tasks
from orchestrator.nodes.worker import Worker

Item = TypeVar("Item")
Result = TypeVar("Result")


class OnRay:
    """The Ray session that this process is in, or will start or join."""

    is_ray = True

    def joined(self, address: str | None, cpus_per_worker: float) -> AbstractContextManager[None]:
        """Joins a cluster, or starts a session here."""
        return cluster.connected(address, cpus_per_worker)

    def ready(self, worker: Worker, address: str | None, run: Path) -> str:
        """Raises UsageError if no node fits a worker, or one does not reach the run directory."""
        slots = preflight.ready(worker, address, run)
        where, token = cluster.dashboard(), cluster.dashboard_token()
        asks = f", which asks for the token in {token}" if token else ""
        return f"Ray: {slots} workers at a time" + (f", dashboard {where}{asks}" if where else "")

    def fits(self, worker: Worker, address: str | None) -> int | None:
        """Of the session that this process is in, or will start here."""
        return cluster.slots_before(worker.cpus, worker.gpus, address)

    def slots(self, cpus: float, gpus: float) -> int:
        """How many workers fit on the cluster."""
        return cluster.worker_slots(cpus, gpus)

    def memory_per_worker(self, cpus: float, gpus: float) -> float:
        """Half of a worker's share on the node with the least."""
        return cluster.memory_per_worker(cpus, gpus)

    def hardware(self) -> dict[str, Any]:
        """The hardware of the cluster, for the manifest."""
        return cluster.hardware()

    def cpus_here(self) -> int:
        """CPUs that a node on this machine would offer."""
        return ray_internals.cpus_here()

    def memory_here(self) -> float:
        """Bytes of memory that it would have."""
        return ray_internals.memory_here()

    def is_beside_workers(self) -> bool:
        """Not on a cluster that was there before."""
        return ray_internals.began_session()

    def mapper(self) -> Map:
        """On an actor for each CPU."""
        return actors.actor_map(max(1, self.slots(1, 0)))

    def in_order(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """By tasks."""
        return tasks.in_order(work, items)

    def keeping(
        self,
        work: Callable[[Item], Result],
        items: Iterable[Item],
        workers: int | None,
        before: Callable[[Item], Result | None],
    ) -> Iterator[tuple[Item, Result]]:
        """By actors."""
        return actors.keeping(work, items, workers or max(1, self.slots(1, 0)), before)

    def read_ahead(
        self, parts: Sequence[Callable[[], Iterator[pa.Table]]], piece: int, held: int
    ) -> Iterator[pa.Table]:
        """By Ray Data."""
        from orchestrator.nodes.ray_data import read_ahead  # here: few data sets need it

        return read_ahead(parts, piece, held)
