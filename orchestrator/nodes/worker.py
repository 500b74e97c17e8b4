"""The resources of a training worker; cheap to import, so that command lines need not load Ray."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Worker:
    """The resources of one worker; `memory` is in GiB, None for what its machine allows."""

    cpus: float
    gpus: float
    memory: float | None = None

    @property
    def device(self) -> str:
        return "cuda" if self.gpus else "cpu"

    @property
    def threads(self) -> int:
        return max(1, int(self.cpus))
