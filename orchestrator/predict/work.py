"""Works on blocks in order: here, or on the workers of Ray."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any, TypeVar

from orchestrator.interface.errors import UsageError

Block = TypeVar("Block")
Result = TypeVar("Result")

FEW = 2  # blocks that take less time here than Ray takes to start
UNDER_WAY = 3  # blocks a worker: one in work, and others so that it never waits


def in_order(
    work: Callable[[Block], Result],
    blocks: Iterator[Block],
    workers: int | None,
    address: str | None,
    before: Callable[[Block], Result | None] = lambda block: None,
) -> Iterator[tuple[Block, Result]]:
    """Each block with the result of `work`, in the order of the blocks.

    Args:
        workers: processes; None for one if there are few blocks, else for all CPUs.
        address: of a Ray cluster.
        before: a result that is known already, or None.
    """
    first = list(islice(blocks, FEW + 1))
    together = chain(first, blocks)
    cores = len(os.sched_getaffinity(0))
    alone = workers == 1 or (workers is None and (len(first) <= FEW or cores == 1))
    if alone and address is None:
        for block in together:
            known = before(block)
            yield block, work(block) if known is None else known
    else:
        yield from _on_ray(work, together, workers, address, before)


def _on_ray(
    work: Callable[[Block], Result],
    blocks: Iterator[Block],
    workers: int | None,
    address: str | None,
    before: Callable[[Block], Result | None],
) -> Iterator[tuple[Block, Result]]:
    """On actors that keep the models; as many blocks are read ahead as they need.

    Blocks are read here, since files given by path are on this machine.
    """
    try:
        import ray  # predicting a few hundred structures needs none

        from orchestrator.nodes import cluster
    except ImportError:
        many = "many structures are predicted by Ray, which is not installed"
        raise UsageError(f"{many}: pip install ray, or add --workers 1") from None
    with cluster.connected(address, 1):
        number = workers or max(1, cluster.worker_slots(1, 0))
        held = [ray.put(work)]  # in a list, Ray leaves it to the actor to fetch it
        actor = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=-1)(_Worker)
        actors: list[Any] = [actor.remote() for _ in range(number)]
        under_way: deque[tuple[Block, Any, int]] = deque()

        def finished() -> tuple[Block, Result]:
            block, result, place = under_way.popleft()
            return block, result if place < 0 else ray.get(result)

        def least_busy() -> int:
            place_of = {result: place for _, result, place in under_way if place >= 0}
            if not place_of:
                return 0
            _, waiting = ray.wait(list(place_of), num_returns=len(place_of), timeout=0)
            busy = Counter(place_of[one] for one in waiting)
            return min(range(number), key=lambda place: busy[place])

        for block in blocks:
            if len(under_way) == UNDER_WAY * number:
                yield finished()
            known = before(block)
            if known is not None:
                under_way.append((block, known, -1))
                continue
            place = least_busy()
            under_way.append((block, actors[place].work.remote(held, block), place))
        while under_way:
            yield finished()


class _Worker:
    """An actor that works on one block after another, and keeps the models."""

    def __init__(self) -> None:
        self._work: Callable[[Any], Any] | None = None

    def work(self, held: list[Any], block: Any) -> Any:
        if self._work is None:
            import ray

            (self._work,) = ray.get(held)
        return self._work(block)
