"""How long an epoch takes."""

from __future__ import annotations

import time

from orchestrator.training.study import Fit


def seconds_of_an_epoch(fit: Fit) -> float:
    """Of its second epoch, as the first one imports and compiles; with evaluation, if it ends."""
    list(fit.advance())
    begun = time.perf_counter()
    list(fit.advance())
    return time.perf_counter() - begun
