"""Work on Ray actors: the `map` of the long computations of `analysis`; what keeps models."""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import ray
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.util import ActorPool

from analysis.mapping import Map
from orchestrator.interface.errors import UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")

UNDER_WAY = 3  # items an actor: one in work, and others so that it never waits
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


def keeping(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    number: int,
    before: Callable[[Item], Result | None],
) -> Iterator[tuple[Item, Result]]:
    """Each item with the result of `work`, by so many actors, which keep what it has loaded.

    Args:
        before: a result that is known already, or None.

    Raises:
        UsageError: an item costs one actor after the other.
    """
    held = [ray.put(work)]  # in a list, Ray leaves it to the actor to fetch it
    # An actor may be lost as often as it likes, but not by one item.
    actor = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=LOST_ACTORS)(Keeper)
    actors: list[Any] = [actor.remote() for _ in range(number)]
    under_way: deque[tuple[Item, Any, int]] = deque()

    def finished() -> tuple[Item, Result]:
        item, result, place = under_way.popleft()
        return item, result if place < 0 else _got(result)

    def least_busy() -> int:
        place_of = {result: place for _, result, place in under_way if place >= 0}
        if not place_of:
            return 0
        _, waiting = ray.wait(list(place_of), num_returns=len(place_of), timeout=0)
        busy = Counter(place_of[one] for one in waiting)
        return min(range(number), key=lambda place: busy[place])

    try:
        for item in items:
            if len(under_way) == UNDER_WAY * number:
                yield finished()
            known = before(item)
            if known is not None:
                under_way.append((item, known, -1))
                continue
            place = least_busy()
            under_way.append((item, actors[place].work.remote(held, item), place))
        while under_way:
            yield finished()
    finally:  # one that begins again after an error would keep its CPU
        for one in actors:
            ray.kill(one)


def _got(result: Any) -> Any:
    """A result; raises UsageError if its item was lost with an actor again and again."""
    try:
        return ray.get(result)
    except (RayActorError, OutOfMemoryError):
        raise UsageError(
            f"a worker died {LOST_ACTORS + 1} times at the same work; if it lacked memory, run the"
            " same command again with fewer --workers"
        ) from None


class Keeper:
    """An actor that works on one item after another, and keeps the models."""

    def __init__(self) -> None:
        self._work: Callable[[Any], Any] | None = None

    def work(self, held: list[Any], item: Any) -> Any:
        if self._work is None:
            (self._work,) = ray.get(held)
        return self._work(item)
