"""The flags of training, and of the resources of its workers, shared by all jobs that train."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.interface.parser import Parser, number, share, whole_number
from orchestrator.nodes.worker import Worker
from trainables.models.recipe import Recipe, RecipeName

MAX_ATOMS = 500
MOST = 1e6  # CPUs, GPUs or bytes: an upper bound for any machine


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """What the command lines of jobs have in common that train networks of their own kind.

    They are those of `add_limits`, `add_network`, `add_run` and `add_together`, of the
    recipe, and of the machine.
    """

    max_bad: float | None
    max_atoms: int
    seed: int
    recipe: RecipeName
    epochs: int | None
    width: int | None
    float64: bool
    run: Path
    extend: bool
    retry_failed: bool
    address: str | None
    workers: int
    worker: Worker
    dry_run: bool

    @property
    def asked(self) -> dict[str, Any]:
        """What of it determines the models, for the manifest."""
        return {
            "seed": self.seed,
            "recipe": self.recipe,
            "epochs": self.epochs,
            "width": self.width,
            "float64": self.float64,
        }

    def in_effect(self, recipe: Recipe) -> Recipe:
        """A recipe with the epochs that are asked for."""
        return recipe if self.epochs is None else replace(recipe, epochs=self.epochs)


def add_limits(group: argparse._ArgumentGroup) -> None:
    """Adds the flags that say which crystals are accepted."""
    group.add_argument(
        "--max-bad",
        type=share,
        metavar="X",
        help="largest accepted fraction of bad crystals, which quarantine.csv lists; default 0.01,"
        " or 3 crystals where that is more, but not above half",
    )
    group.add_argument(
        "--max-atoms",
        type=whole_number(1),
        default=MAX_ATOMS,
        metavar="N",
        help="largest number of atoms in a cell; default %(default)s",
    )


def add_network(training: argparse._ArgumentGroup, *, seed: str, width: str) -> None:
    """Adds the flags that change a recipe.

    Args:
        seed, width: words on what they are of.
    """
    training.add_argument(
        "--seed",
        type=whole_number(0, 2**31 - 1),
        default=0,
        metavar="N",
        help=f"{seed}; default %(default)s",
    )
    training.add_argument(
        "--epochs",
        type=whole_number(1),
        metavar="N",
        help="largest number of epochs; default by recipe",
    )
    training.add_argument("--width", type=whole_number(1, 4096), metavar="N", help=width)
    training.add_argument(
        "--float64", action="store_true", help="compute in double precision, at half the speed"
    )


def add_run(parser: Parser, default: str) -> None:
    """Adds the flags of the run directory, in a group of their own."""
    results = parser.add_argument_group("results")
    results.add_argument(
        "--run",
        type=Path,
        default=Path(default),
        metavar="DIR",
        help="run directory; default %(default)s",
    )
    results.add_argument(
        "--extend",
        action="store_true",
        help="continue a run directory of other settings with these; models that both have are not"
        " trained again",
    )
    results.add_argument("--retry-failed", action="store_true", help="train failed models again")


def add_together(machine: argparse._ArgumentGroup, *, one: str = "") -> None:
    """Adds the number of workers that train together, and the flag that only plans.

    Args:
        one: what a single worker does instead.
    """
    machine.add_argument(
        "--workers",
        type=whole_number(1),
        default=1,
        metavar="N",
        help="workers of Ray Train that share each batch (gloo on CPUs, NCCL on GPUs); results"
        f" agree with those of one worker within rounding; default %(default)s{one}",
    )
    machine.add_argument(
        "--dry-run",
        action="store_true",
        help="check the input, say what would be trained and how long that takes; write nothing",
    )


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
