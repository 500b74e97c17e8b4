"""Counts the bytes that a piece of work reads and writes, and measures a device's bandwidth.

A tensor counts once for every operation that reads it and once for every one that writes it, from
memory or from a cache; a view costs nothing. Compiled code and our kernels run as plain operations
while they are counted, so what fusing saves is not subtracted: the share of the bandwidth then says
how fast a plain implementation would have to move its data.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from orchestrator.planning.tally import Tally
from trainables.kernels import ops


def bytes_moved(work: Callable[[], object]) -> int:
    """Bytes that `work` reads and writes; it is run once."""
    with torch.compiler.set_stance("force_eager"), ops.plain(), Tally() as tally:
        work()
    return tally.moved


def copy_bandwidth(device: str, nbytes: int) -> float:
    """Bytes/s read and written when copying a tensor of `nbytes`, the best of ten tries."""
    source = torch.zeros(nbytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    target.copy_(source)  # the first access to fresh memory is slower
    best = float("inf")
    for _ in range(10):
        synchronise(device)
        start = time.perf_counter()
        target.copy_(source)
        synchronise(device)
        best = min(best, time.perf_counter() - start)
    return 2 * nbytes / best


def synchronise(device: str) -> None:
    """Waits until the device has finished its work."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
