"""The flags for the resources of training workers, shared by all jobs that train."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from orchestrator.interface.parser import Parser, number
from orchestrator.nodes.worker import Worker

MOST = 1e6  # CPUs, GPUs or bytes: an upper bound for any machine


def add_machine(parser: Parser) -> argparse._ArgumentGroup:
    """Adds the flags in a group of their own, and returns it."""
    machine = parser.add_argument_group("machine")
    machine.add_argument(
        "--address", help="Ray cluster (`auto` for the one that runs); default: this machine alone"
    )
    machine.add_argument(
        "--cpus-per-worker",
        type=number("more than 0", lambda value: 0 < value < MOST),
        default=1.0,
        metavar="N",
        help="CPUs of a worker; default %(default)g",
    )
    machine.add_argument(
        "--gpus-per-worker",
        # Ray accepts fractions of one GPU, or whole numbers
        type=number(
            "0 or more, and above 1 a whole number",
            lambda value: 0 <= value < MOST and (value <= 1 or value % 1 == 0),
        ),
        default=0.0,
        metavar="X",
        help="may be a fraction, so that workers share a GPU; default 0: train on the CPU",
    )
    return machine


def worker_of(given: Mapping[str, Any]) -> Worker:
    """The worker that the flags of `add_machine` describe."""
    return Worker(
        cpus=given["cpus_per_worker"],
        gpus=given["gpus_per_worker"],
        memory=given.get("memory_per_worker"),
    )
