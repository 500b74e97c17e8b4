"""A `map` that runs on Ray actors, for the long computations of `analysis`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import ray
from ray.util import ActorPool

from analysis.mapping import Map
from orchestrator.interface.errors import UsageError

# A lost machine is no fault of the item it computed: the item is restarted this many times.
LOST_ACTORS = 3


class Mapper:
    """Applies a function to one item after another; the actor keeps what the function caches."""

    def apply(self, function: Callable[[Any], Any], item: Any) -> Any:
        sys.audit("elemgrid.map")
        return function(item)


def actor_map(actors: int) -> Map:
    """A `map` that runs on up to `actors` actors and yields in the order of the items.

    Actors are started on first use, at most one per item, and are reused by later calls.
    """
    # They claim no CPU: a pool waits for each of its actors, and one might never be scheduled.
    mapper = ray.remote(
        num_cpus=0,
        scheduling_strategy="SPREAD",
        max_restarts=LOST_ACTORS,
        max_task_retries=LOST_ACTORS,
    )(Mapper)
    started: list[Any] = []

    def run(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        listed = list(items)
        wanted = min(actors, len(listed))
        started.extend(mapper.remote() for _ in range(wanted - len(started)))
        shared = ray.put(function)
        pool = ActorPool(started)
        try:
            yield from pool.map(lambda actor, item: actor.apply.remote(shared, item), listed)
        except UsageError as error:  # the text of Ray's wrapper is a traceback
            raise getattr(error, "cause", error) from None

    return run
