"""The machine that the plan is made on: its CPUs, GPUs, memory and load."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from orchestrator.nodes.hardware import FOR_WORKERS
from orchestrator.nodes.place import here
from orchestrator.nodes.worker import Worker


@dataclass(frozen=True)
class Machine:
    """The machine as a job would see it that started here.

    Attributes:
        cpus, gpus: their numbers.
        memory: bytes, within the container's limit.
        idle: bytes of a worker that holds no data.
        load: processes that wanted a CPU in the last minute.
    """

    cpus: int
    gpus: int
    memory: float
    idle: float
    load: float

    def workers(self, worker: Worker) -> int:
        """How many workers fit at once; 0 if none does."""
        fit = [self.cpus / worker.cpus] + ([self.gpus / worker.gpus] if worker.gpus else [])
        return int(min(fit) + 1e-9)

    def budget(self, worker: Worker) -> float:
        """Bytes of a data set that a worker may hold before it is streamed."""
        if worker.memory is not None:
            return worker.memory * 2**30
        return FOR_WORKERS * self.memory / max(1, self.workers(worker)) / 2


@contextmanager
def looking_around() -> Iterator[Callable[[], Machine]]:
    """Starts a process like a worker; the yielded function waits for it and returns the machine."""
    load = os.getloadavg()[0]
    place = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-P", "-m", "orchestrator.planning.idle"]
    with subprocess.Popen(command, env=place, stdout=subprocess.PIPE, text=True) as idle:

        def found() -> Machine:
            said, _ = idle.communicate()
            return Machine(
                cpus=here().cpus_here(),
                gpus=torch.cuda.device_count(),
                memory=here().memory_here(),
                idle=float(said),
                load=load,
            )

        try:
            yield found
        finally:
            idle.kill()
