"""The flags of training, and of the resources of its workers, shared by all jobs that train."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from orchestrator.interface.flags import add_address, add_dry_run, add_run
from orchestrator.interface.parser import Parser, number, whole_number
from orchestrator.nodes.worker import Worker
from trainables.models.recipe import Recipe, RecipeName

MAX_ATOMS = 500
MOST = 1e6  # CPUs, GPUs or bytes: an upper bound for any machine


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """What the command lines of jobs have in common that train networks of their own kind.

    They are those of `add_recipe`, `add_network`, `add_results`, `add_machine` and
    `add_together`, and the limits of `data.flags`.
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


def add_recipe(
    training: argparse._ArgumentGroup, *, paper: str, tuned: str, default: str | None = "tuned"
) -> None:
    """Adds the recipe.

    Args:
        paper, tuned: what each of them is.
        default: None where a preset may say so instead.
    """
    training.add_argument(
        "--recipe",
        choices=get_args(RecipeName),
        default=default,
        help=f"paper: {paper}; tuned (default): {tuned}",
    )


def add_epochs(training: argparse._ArgumentGroup) -> None:
    """Adds the largest number of epochs."""
    training.add_argument(
        "--epochs",
        type=whole_number(1),
        metavar="N",
        help="largest number of epochs; default by recipe",
    )


def add_patience(training: argparse._ArgumentGroup, note: str) -> None:
    """Adds the epochs after which a model stops that does not improve; `note` says more of them."""
    training.add_argument(
        "--patience",
        type=whole_number(1),
        metavar="N",
        help=f"epochs without improvement before a model stops; {note}",
    )


def add_members(training: argparse._ArgumentGroup, default: int, what: str, least: int = 1) -> None:
    """Adds the size of an ensemble; `what` says what it is made of."""
    training.add_argument(
        "--members",
        type=whole_number(least, 100),
        default=default,
        metavar="N",
        help=f"{what}; default %(default)s",
    )


def add_curve(training: argparse._ArgumentGroup, sizes: str) -> None:
    """Adds the learning curve; `sizes` says from what its models learn."""
    training.add_argument(
        "--curve", action="store_true", help=f"also learn from {sizes}: the learning curve"
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
    add_epochs(training)
    training.add_argument("--width", type=whole_number(1, 4096), metavar="N", help=width)
    training.add_argument(
        "--float64", action="store_true", help="compute in double precision, at half the speed"
    )


def add_results(parser: Parser, default: str) -> None:
    """Adds the flags of the run directory, in a group of their own."""
    results = parser.add_argument_group("results")
    add_run(results, default)
    add_again(results)


def add_again(results: argparse._ArgumentGroup) -> None:
    """Adds the flags for a run directory that is continued."""
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
    add_dry_run(machine, "check the input, say what would be trained and how long that takes")


def add_machine(parser: Parser) -> argparse._ArgumentGroup:
    """Adds the flags in a group of their own, and returns it."""
    machine = parser.add_argument_group("machine")
    add_address(machine)
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


def take_worker(given: dict[str, Any]) -> Worker:
    """Takes the values of `add_machine` out of those of a command line, as a worker."""
    return Worker(
        cpus=given.pop("cpus_per_worker"),
        gpus=given.pop("gpus_per_worker"),
        memory=given.pop("memory_per_worker", None),
    )
