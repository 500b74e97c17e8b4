"""Work in tasks of Ray."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import ray

Item = TypeVar("Item")
Result = TypeVar("Result")

UNDER_WAY = 3  # tasks a CPU: one in work, and others so that no CPU waits for the first of them


def in_order(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The results of `work`, by tasks of a CPU each, some of which wait at the workers for a CPU.

    A task whose worker or node is lost runs again.
    """
    # Not Ray Data: with two CPUs it submits two tasks, and looks ten times a second which of them
    # have ended. So a CPU idles for up to 0.2 s after each item, about as long as a block took.
    task: Any = ray.remote(num_cpus=1, max_retries=-1, scheduling_strategy="SPREAD")(_apply)
    shared, under_way = ray.put(work), deque[ray.ObjectRef]()
    try:
        for item in items:
            under_way.append(task.remote(shared, item))
            while len(under_way) >= UNDER_WAY * ray.cluster_resources().get("CPU", 1):
                yield ray.get(under_way.popleft())
        while under_way:
            yield ray.get(under_way.popleft())
    finally:
        for left in under_way:
            ray.cancel(left)


def _apply(work: Callable[[Item], Result], item: Item) -> Result:
    return work(item)
