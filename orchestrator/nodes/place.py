"""Where the work of a job runs: on Ray where it is installed, else in processes of this machine.

Jobs, data and training ask `here()` for all of it, so that no other module tells the two apart but
the two that train: `training.tuning` on Ray, `training.local` in processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from analysis.mapping import Map
from orchestrator.interface.extras import RAY
from orchestrator.nodes.worker import Worker

if TYPE_CHECKING:
    import pyarrow as pa

Item = TypeVar("Item")
Result = TypeVar("Result")


class Place(Protocol):
    """Runs work, keeping the order of its items, and knows the hardware for it."""

    @property
    def is_ray(self) -> bool: ...

    def joined(self, address: str | None, cpus_per_worker: float) -> AbstractContextManager[None]:
        """Work can run within this context; raises UsageError if it cannot at the address."""

    def ready(self, worker: Worker, address: str | None, run: Path) -> str:
        """Checks that workers fit and reach the run directory; says how many work at a time.

        Raises:
            UsageError: they do not.
        """

    def fits(self, worker: Worker, address: str | None) -> int | None:
        """How many workers fit, before any context is entered; None where a cluster will tell."""

    def slots(self, cpus: float, gpus: float) -> int:
        """How many workers fit at once."""

    def memory_per_worker(self, cpus: float, gpus: float) -> float:
        """Bytes of a data set that a worker may hold: half of its share of the memory."""

    def hardware(self) -> dict[str, Any]:
        """The hardware, for the manifest."""

    def cpus_here(self) -> int:
        """CPUs of this machine that would work, before any context is entered."""

    def memory_here(self) -> float:
        """Bytes of memory of this machine, before any context is entered."""

    def is_beside_workers(self) -> bool:
        """Whether this process runs on the machine of its workers, and was the one to start it."""

    def mapper(self) -> Map:
        """A `map` for the long computations of `analysis`."""

    def in_order(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The results of `work` on each item, which takes a CPU; lost work is done again."""

    def keeping(
        self,
        work: Callable[[Item], Result],
        items: Iterable[Item],
        workers: int | None,
        before: Callable[[Item], Result | None],
    ) -> Iterator[tuple[Item, Result]]:
        """Each item with the result of `work`, of which each worker keeps what it has loaded.

        Args:
            workers: None for as many as there are CPUs.
            before: a result that is known already, or None.
        """

    def read_ahead(
        self, parts: Sequence[Callable[[], Iterator[pa.Table]]], piece: int, held: int
    ) -> Iterator[pa.Table]:
        """The tables of all parts, in order.

        Args:
            piece: bytes of a table.
            held: bytes of tables that may be in memory before they are used.
        """


@cache
def here() -> Place:
    """The place of this process's work."""
    if RAY.missing():
        from orchestrator.nodes.this_machine import ThisMachine

        return ThisMachine()
    from orchestrator.nodes.on_ray import OnRay  # here: not all have Ray

    return OnRay()
