"""The two sides of a training comparison: starting, measuring and comparing them."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.child import Child, whole_run
from benchmarks.harness import Figure, Report, Side, add_flags, alone, compare, say
from benchmarks.inputs import Choice
from orchestrator.grid.config import MIXINGS

OURS = (sys.executable, "-m", "benchmarks.ours")
PEERS = Path(__file__).parent / "peers"
Answers = list[dict[str, Any]]
MANY = 10**6  # epochs, if the benchmark and not the recipe decides when to stop


@dataclass(frozen=True, kw_only=True)
class TrainingSide:
    """A program that trains `models` models at once.

    Attributes:
        start: the arguments of its request `start`, and, with `epochs`, of `whole`.
        endless: further arguments of `start`, so that no model stops while epochs are timed.
    """

    name: str
    command: Sequence[str]
    start: dict[str, Any]
    endless: dict[str, Any]
    models: int = 1

    def started(self) -> Child:
        """Starts the program, which reads its data and builds its models."""
        child = Child(self.name, self.command)
        child.ask("start", **self.start, **self.endless)
        return child

    def epochs(self, child: Child, count: int, answers: Answers) -> Side:
        """Seconds per model and epoch of a started child, in blocks of `count` epochs."""

        def side() -> float:
            answers.append(child.ask("epochs", count=count))
            return float(answers[-1]["seconds"]) / count / self.models

        return side

    def whole(self, epochs: int, answers: Answers) -> Side:
        """Seconds per model of a whole run in a fresh process."""

        def side() -> float:
            arguments = {**self.start, "epochs": epochs}
            seconds, answer = whole_run(self.name, self.command, "whole", **arguments)
            answers.append(answer)
            return seconds / self.models

        return side


def our_side(
    source: Path,
    backbone: str,
    dim: int,
    mixings: Sequence[str],
    options: argparse.Namespace,
    device: str = "cpu",
) -> TrainingSide:
    """An array of our models, one for each mixing."""
    start = {
        "source": str(source),
        "backbone": backbone,
        "dim": dim,
        "mixings": list(mixings),
        "fold": options.fold,
        "seed": options.seed,
        "device": device,
    }
    return TrainingSide(
        name="elemgrid",
        command=OURS,
        start=start,
        endless={"epochs": MANY},
        models=len(mixings),
    )


@dataclass
class Pair:
    """Two sides to compare; `ours` and `theirs` collect the answers of each process."""

    our_side: TrainingSide
    their_side: TrainingSide
    ours: Answers = field(default_factory=list)
    theirs: Answers = field(default_factory=list)

    def cpu(self, name: str, repeats: int, per: int = 1) -> dict[str, Any]:
        """The ratio in CPU time, which other work on the machine affects less.

        Args:
            repeats: number of answers that count, the last ones.
            per: epochs of an answer.
        """
        sides = (self.our_side, self.ours), (self.their_side, self.theirs)
        ours, theirs = (
            statistics.median(answer["cpu_seconds"] for answer in answers[-repeats:])
            / side.models
            / per
            for side, answers in sides
        )
        say(f"{name}: {theirs / ours:.2f} × in CPU time")
        return {"ours": ours, "theirs": theirs, "ratio": theirs / ours}


def epochs_in_turns(
    report: Report, name: str, pair: Pair, options: argparse.Namespace, **facts: Any
) -> Figure:
    """Adds a figure of epochs of warm processes: training, validation and data loading."""
    title = f"{name}, epochs, {_models(pair.our_side)}"
    with pair.our_side.started() as ours, pair.their_side.started() as theirs:
        figure = compare(
            title,
            pair.our_side.epochs(ours, options.block, pair.ours),
            pair.their_side.epochs(theirs, options.block, pair.theirs),
            unit="s/model-epoch",
            repeats=options.repeats,
        )
    facts["cpu_seconds"] = pair.cpu(title, options.repeats, options.block)
    return report.add(replace(figure, facts=facts))


def whole_runs_in_turns(
    report: Report, name: str, pair: Pair, options: argparse.Namespace, bar: float | None
) -> Figure:
    """Adds a figure of whole runs, from the start of a process to the test of its best weights."""
    title = f"{name}, {options.epochs} epochs start to finish, {_models(pair.our_side)}"
    figure = compare(
        title,
        pair.our_side.whole(options.epochs, pair.ours),
        pair.their_side.whole(options.epochs, pair.theirs),
        unit="s/model",
        repeats=options.whole_repeats,
        warm_up=0,
        bar=bar,
    )
    facts = {
        "cpu_seconds": pair.cpu(title, options.whole_repeats),
        "mixings": pair.our_side.start["mixings"],
        "ours_reached": outcome(pair.ours[-1]),
        "theirs_reached": outcome(pair.theirs[-1]),
    }
    return report.add(replace(figure, facts=facts))


def whole_run_alone(
    report: Report, name: str, ours: TrainingSide, options: argparse.Namespace
) -> Figure:
    """Adds a figure of one whole run of ours."""
    title = f"{name}, {options.epochs} epochs start to finish, {_models(ours)}"
    side = ours.whole(options.epochs, [])
    return report.add(alone(title, side, unit="s/model", repeats=1, warm_up=0))


def _models(side: TrainingSide) -> str:
    return "one model" if side.models == 1 else f"array of {side.models}"


def outcome(answer: dict[str, Any]) -> dict[str, Any]:
    """Results of a whole run's models: best validation MAE, its test MAE, last loss."""
    return {
        "best_val_mae": [min(maes) for maes in answer["val_mae"]],
        "test_mae": answer["test_mae"],
        "last_train_loss": [losses[-1] for losses in answer["train_loss"]],
    }


def largest_difference(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Largest |ours − theirs| / |theirs| over the epochs."""
    return max(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True))


def add_training_flags(parser: argparse.ArgumentParser, widths: Sequence[int]) -> None:
    """Adds the flags of a comparison of trainings."""
    parser.add_argument("--data", type=Path, required=True, help="data set, as for --tasks")
    parser.add_argument("--widths", type=int, nargs="+", default=list(widths))
    parser.add_argument("--epochs", type=int, default=300, help="of a whole run; 0 for none")
    parser.add_argument("--whole-repeats", type=int, default=1, help="pairs of whole runs")
    parser.add_argument("--block", type=int, default=5, help="epochs before the sides change")
    parser.add_argument("--limit", type=int, help="crystals at most")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    add_flags(parser)


def choice(options: argparse.Namespace) -> Choice:
    """The crystals that the flags select."""
    return Choice(source=options.data, fold=options.fold, seed=options.seed, limit=options.limit)


def config(options: argparse.Namespace) -> dict[str, Any]:
    """The values of the flags, for the report."""
    names = ("widths", "epochs", "block", "limit", "fold", "seed")
    chosen = {name: getattr(options, name) for name in names}
    return chosen | {
        "data": options.data.name,
        "mixings": list(MIXINGS),
        "recipe": "paper",
        "threads_a_side": 1,
        "cores_of_machine": os.cpu_count(),
    }
