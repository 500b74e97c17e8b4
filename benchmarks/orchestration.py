"""The cost of a grid beyond training, with models that train nothing; compared with plain Ray Tune.

    python -m benchmarks.orchestration

Ours is the paper's grid from cells to ledger, 2 240 models in 320 arrays of seven, each recorded
with all that a model leaves. Theirs is plain Ray Tune: one trial per model, which reports once and
records nothing. Each has its own Ray runtime in a process of its own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from benchmarks.child import Child, in_one_line
from benchmarks.harness import Figure, Report, Side, Spread, add_flags, compare, say

CHILD = (sys.executable, "-m", "benchmarks.instant")
Answers = list[dict[str, Any]]


def side(name: str, answers: Answers, **arguments: Any) -> Side:
    """Seconds per model of a grid in a fresh process; its answer is appended to `answers`."""

    def measure() -> float:
        with Child(name, CHILD) as child:
            answers.append(child.ask(name, **arguments))
        return float(answers[-1]["seconds"]) / int(answers[-1]["models"])

    return measure


def figure(
    name: str,
    unit: str,
    answers: Answers,
    value: Callable[[dict[str, Any]], float],
    bar: float | None = None,
) -> Figure:
    """A figure of one value of our answers."""
    return Figure(name, unit, Spread(tuple(value(answer) for answer in answers)), bar=bar)


def a_model(name: str, scale: float = 1.0, *more: str) -> Callable[[dict[str, Any]], float]:
    """The sum of some fields of an answer, divided by the models."""
    return lambda answer: scale * sum(answer[each] for each in (name, *more)) / answer["models"]


def cost(report: Report, options: argparse.Namespace) -> None:
    """Adds the figures of the paper's grid."""
    ours: Answers = []
    theirs: Answers = []
    report.add(
        compare(
            "a model that trains nothing",
            side("ours", ours, tasks=options.tasks),
            side("plain", theirs, trials=options.trials),
            unit="s/model",
            repeats=options.repeats,
            warm_up=0,
            facts={"ours": ours, "theirs": theirs},
        )
    )
    report.add(figure("wall time", "ms/model", ours, a_model("seconds", 1e3), bar=20))
    with_start = a_model("seconds", 1e3, "start_seconds")
    report.add(figure("wall time, Ray's start included", "ms/model", ours, with_start))
    report.add(figure("processor time", "ms/model", ours, a_model("all_cpu_seconds", 1e3)))
    report.add(figure("driver's memory", "KB/model", ours, a_model("driver_growth", 1e-3), bar=20))
    report.add(figure("files", "1/model", ours, a_model("files"), bar=2))
    report.add(figure("from start to first record", "s", ours, itemgetter("first_record")))
    name = "the same, all others recorded"
    report.add(figure(name, "s", ours, lambda answer: float(answer["resumed_first_record"][0])))


def many(report: Report, options: argparse.Namespace) -> None:
    """Adds the figures of a long grid of equal models, as the largest would come first."""
    answers: Answers = []
    side("ours", answers, tasks=options.many_tasks, backbones=["cgcnn"], dims=[16])()
    models = answers[0]["models"]
    say(f"{models} models: {answers[0]['seconds']:.0f} s")
    last_by_first = figure(
        f"{models} models: last thousand by the first",
        "s/s",
        answers,
        lambda answer: float(answer["thousands"][-1] / answer["thousands"][0]),
        bar=1.5,
    )
    report.add(last_by_first)
    growth = a_model("driver_growth", 1e-3)
    report.add(figure(f"{models} models: driver's memory", "KB/model", answers, growth, bar=20))


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the table and writes `orchestration.json`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=8, help="of 280 models (default 8)")
    parser.add_argument("--trials", type=int, default=60, help="of plain Ray Tune (default 60)")
    parser.add_argument(
        "--many-tasks", type=int, default=288, help="of 35 models, in the long grid; 0 for none"
    )
    add_flags(parser, repeats=3)
    options = parser.parse_args(argv)
    chosen = {name: getattr(options, name) for name in ("tasks", "trials", "many_tasks")}
    report = Report("orchestration", chosen, results=options.results)
    cost(report, options)
    if options.many_tasks:
        many(report, options)
    report.finish()


if __name__ == "__main__":
    in_one_line(main)
