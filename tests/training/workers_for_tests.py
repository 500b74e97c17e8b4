"""Workers that train together: threads of this process, or processes that speak by gloo."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from trainables.models.gathering import Group
from trainables.training.group import Joined

S = TypeVar("S")
T = TypeVar("T")


class Thread:
    """A worker among threads."""

    def __init__(
        self, rank: int, size: int, held: list[torch.Tensor | None], barrier: threading.Barrier
    ) -> None:
        self.rank, self.size, self._held, self._barrier = rank, size, held, barrier

    def add(self, values: torch.Tensor) -> None:
        self._held[self.rank] = values.clone()
        self._barrier.wait(30)
        total = sum(one for one in self._held if one is not None)
        assert isinstance(total, torch.Tensor)
        self._barrier.wait(30)
        values.copy_(total)


def threads(size: int) -> list[Thread]:
    """Workers that wait for each other."""
    held: list[torch.Tensor | None] = [None] * size
    barrier = threading.Barrier(size)
    return [Thread(rank, size, held, barrier) for rank in range(size)]


def at_once(work: Callable[[S], T], given: Sequence[S]) -> list[T]:
    """What each returns, in a thread of its own."""
    with ThreadPoolExecutor(len(given)) as pool:
        return list(pool.map(work, given))


def in_processes(work: Callable[[Group, Path], None], size: int, folder: Path) -> Sequence[Path]:
    """The files that each worker was asked to write."""
    paths = [folder / f"worker-{rank}" for rank in range(size)]
    spawn = multiprocessing.get_context("spawn")
    processes = [
        spawn.Process(target=partial(_joined, work, rank, size, folder / "meeting", path))
        for rank, path in enumerate(paths)
    ]
    for one in processes:
        one.start()
    for one in processes:
        one.join(120)
    assert [one.exitcode for one in processes] == [0] * size
    return paths


def _joined(
    work: Callable[[Group, Path], None], rank: int, size: int, meeting: Path, path: Path
) -> None:
    torch.set_num_threads(1)
    group = Joined(rank, size, meeting, "cpu", one_machine=True)
    work(group, path)
    torch.distributed.destroy_process_group()
