"""Works on blocks in order: in this process, or by workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import TypeVar

from orchestrator.nodes.place import here

Block = TypeVar("Block")
Result = TypeVar("Result")

FEW = 2  # blocks that take less time here than workers take to start


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
        # Blocks are read in this process, since files given by path are on this machine.
        with here().joined(address, 1):
            yield from here().keeping(work, together, workers, before)
