"""From crystals with a number each to an ensemble that predicts, within some minutes.

elemgrid fit my_crystals/ --minutes 30 --run runs/mine
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.ensemble import job as ensemble
from orchestrator.ensemble.flags import EnsembleOptions
from orchestrator.fit import files
from orchestrator.fit.design import ALL, Design, Plan
from orchestrator.fit.flags import FitOptions
from orchestrator.fit.results import curve_of, results_of
from orchestrator.hybrid_grid import job as grid
from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import duration, interval, significant
from orchestrator.interface.job import INTERRUPTED, OK
from orchestrator.nodes import cluster
from orchestrator.planning.machine import looking_around
from orchestrator.planning.work import look, measure_all, read_samples
from orchestrator.report.job import write_report
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.run_directory import demand_folder, locked
from trainables.crystals.sources import SourceError

Clock = Callable[[], float]
# Of the minutes: Ray's start, reading, and the ensemble and the report at the end.
FOR_THE_REST = 0.05
START = 20.0  # seconds, at least


def start(options: FitOptions) -> int:
    """Checks the options and runs the job; returns 0 if all models are done, 1 if some failed."""
    begun = time.monotonic()

    def spent() -> float:
        return time.monotonic() - begun

    demand_folder(options.run)
    try:
        if options.dry_run:
            for line in described(*planned(options)):
                print(line)
            return OK
        with locked(options.run) as lease:
            return run(options, lease, spent)
    except SourceError as error:
        raise UsageError(str(error)) from None


def run(options: FitOptions, lease: str, spent: Clock) -> int:
    """A plan → designs, one after the other while there is time → ensemble → report."""
    given = 60 * options.minutes
    limit = given - max(START, FOR_THE_REST * given)
    plan, first = planned(options)
    done = first = files.read_design(options.run) or first
    print("\n".join(described(plan, first)))
    files.begin(options.run, first)
    with cluster.connected(options.address, options.worker.cpus):
        expected, begun = plan.seconds(first), spent()
        if grid.run(first.options(options), lease, finishes=False) == INTERRUPTED:
            return INTERRUPTED
        curve = curve_of(options.run)
        if expected > START:  # what was recorded before says nothing of the machine
            plan = dataclasses.replace(plan, slower=(spent() - begun) / expected)
        while design := plan.next(done, limit - spent()):
            print(f"{duration(spent())}: {design}")
            if grid.run(design.options(options), lease, finishes=False) == INTERRUPTED:
                return INTERRUPTED
            done = design
        status = grid.run(done.bare.options(options), lease)
        if status == INTERRUPTED:
            return status
    _combine(options.run)
    facts = results_of(FinishedRun(options.run), curve)
    facts |= {"minutes": options.minutes, "spent": spent() / 60, "design": str(done)}
    files.write_facts(options.run, facts)
    report = write_report(options.run)
    say(facts)
    print(report)
    print(f"new crystals: elemgrid predict {options.run} STRUCTURES --out predictions.csv")
    return status


def planned(options: FitOptions) -> tuple[Plan, Design]:
    """What designs cost on this machine, and the one to begin with.

    Raises:
        UsageError: the data cannot be read, or are no numbers or classes.
    """
    largest = ALL.options(options)
    work = look(largest)
    if strange := [one for one in work.targets.values() if one.kind not in ensemble.COMBINED]:
        raise UsageError(
            f"{options.structures}: {strange[0].name} is no number or class a crystal; train it"
            " with hybrid_grid"
        )
    work = dataclasses.replace(work, left=work.planned)
    with looking_around() as machine:
        samples = read_samples(work, lambda text: None)
        found = machine()
    survey = measure_all(largest, work, samples, lambda text: None)
    if not survey.sizes:
        raise UsageError(f"{options.structures}: too few good crystals; five folds need 10")
    workers = max(1, found.workers(options.worker))
    plan = Plan(options, survey, found, workers)
    crystals = next(iter(survey.sizes.values())).crystals
    return plan, plan.first(60 * options.minutes, crystals)


def described(plan: Plan, first: Design) -> list[str]:
    """What will be trained, in lines."""
    curve = plan.seconds(first) - plan.seconds(first.bare)
    told = f"first: {first}, {'and its learning curve' if first.curve else 'no learning curve'}"
    lines = [f"{told}: about {duration(plan.seconds(first))}"]
    done = first
    while design := plan.next(done, 60 * plan.asked.minutes - curve):
        total = duration(plan.seconds(design) + curve)
        lines.append(f"then, as there is time: {design}: about {total} in all")
        done = design
    return lines


def _combine(run: Path) -> None:
    asked = EnsembleOptions(
        run=run,
        tasks=(),
        backbones=(),
        authors="",
        algorithm="elemgrid fit",
        seed=0,
        published=None,
        dry_run=False,
    )
    ensemble.run(asked, ensemble.choose_models(asked))


def say(facts: dict[str, Any]) -> None:
    """Prints the results in a few lines."""
    error, unit = facts["error"], facts["unit"] or ""
    print(
        f"{facts['task']}: {facts['metric']} {significant(error['mean'])} {unit}"
        f" ({interval(error['low'], error['high'])}) on crystals that its models have not seen;"
        f" without looking at the crystal {significant(facts['trivial'])}"
    )
    if facts["double"] is not None:
        double = facts["double"]
        told = f"{significant(double['mean'])} ({interval(double['low'], double['high'])})"
        print(f"twice the data would give about {told}")
    if facts["weak"]:
        named = ", ".join(f"{one['element']} ({one['ratio']:.1f} ×)" for one in facts["weak"])
        print(f"elements whose crystals are predicted worst: {named}")
