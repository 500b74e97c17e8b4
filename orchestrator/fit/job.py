"""From crystals with a number each to an ensemble that predicts, within some minutes.

elemgrid fit my_crystals/ --minutes 30 --run runs/mine
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.ensemble import job as ensemble
from orchestrator.ensemble.flags import EnsembleOptions
from orchestrator.fit import files
from orchestrator.fit.design import ALL, Design, Plan
from orchestrator.fit.flags import FitOptions
from orchestrator.fit.results import curve_of, results_of
from orchestrator.fit.sections import with_interval
from orchestrator.hybrid_grid import job as grid
from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import are, duration, significant
from orchestrator.interface.job import INTERRUPTED, OK
from orchestrator.nodes.place import here
from orchestrator.planning.machine import looking_around
from orchestrator.planning.work import look, measure_all, read_samples
from orchestrator.report.job import write_report
from orchestrator.runs import layout, sums
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.run_directory import demand_folder, locked
from orchestrator.training.epoch import say_measuring
from trainables.crystals.quarantine import Quarantine, TooManyBad, in_words
from trainables.crystals.sources import SourceError

# Of the minutes: the start of workers, reading, and the ensemble and the report at the end.
FOR_THE_REST = 0.05
START = 20.0  # seconds, at least
LEAST_SLOWER = 0.5
LISTED = 20  # bad crystals that --dry-run names


def start(options: FitOptions) -> int:
    """Checks the options and runs the job; returns 0 if all models are done, 1 if some failed."""
    begun = time.monotonic()
    demand_folder(options.run)
    try:
        if options.dry_run:
            plan, first, quarantine = planned(options)
            print("\n".join([*listed(quarantine), *described(plan, first)]))
            return OK
        with locked(options.run) as lease:
            return run(options, lease, begun)
    except SourceError as error:
        raise UsageError(str(error)) from None


def run(options: FitOptions, lease: str, begun: float) -> int:
    """A plan → designs, one after the other while there is time → ensemble → report."""
    asked = {"structures": options.structures, "folds": options.folds, "seed": options.seed}
    before = files.read_progress(options.run, asked)
    plan, first, _ = planned(options)
    state = before or files.Progress(asked=asked, first=first)
    plan = dataclasses.replace(plan, slower=state.slower)
    if before is None:
        print("\n".join(described(plan, first)))
    else:
        _demand_same_data(options.run, plan)
    files.forget(options.run)
    state.write(options.run)
    try:
        return _trained(_Work(options, lease, plan, state, begun))
    except (UsageError, SourceError):
        files.withdraw(options.run)
        raise


def _trained(work: _Work) -> int:
    """All of the job but its plan."""
    options = work.options
    with here().joined(options.address, options.worker.cpus):
        if not work.go_on():
            return INTERRUPTED
        done = work.state.done or work.state.first
        status = grid.run(done.bare.options(options), work.lease, reports=False)
    if status == INTERRUPTED:
        return status
    _combine(options.run)
    facts = results_of(FinishedRun(options.run), work.state.curve)
    spent = work.state.seconds + time.monotonic() - work.begun
    facts |= {"minutes": options.minutes, "spent": spent / 60, "design": str(done)}
    sums.write_json(options.run, files.FACTS, facts)  # last: the fit is done once they are there
    report = write_report(options.run)
    say(facts)
    print(report)
    print(f"new crystals: elemgrid predict {options.run} STRUCTURES --out predictions.csv")
    return status


@dataclass
class _Work:
    """The designs of a fit as they are trained.

    Attributes:
        begun: when the time began that `state` does not count yet.
    """

    options: FitOptions
    lease: str
    plan: Plan
    state: files.Progress
    begun: float

    def go_on(self) -> bool:
        """Trains designs while there is time; False if it was interrupted."""
        given = 60 * self.options.minutes
        limit = given - max(START, FOR_THE_REST * given)
        if self.state.done is None and not self._begin():
            return False
        while design := self.plan.next(self._done, limit - self.state.seconds):
            print(f"{duration(self.state.seconds)}: {design}")
            if not self._train(design):
                return False
            self._note(done=design)
        if (more := next(self._done.larger(), None)) is not None:
            seconds = duration(self.plan.seconds(more, self._done))
            print(f"{more} would take about {seconds} more, for which there is no time")
        return True

    def _begin(self) -> bool:
        """Trains the first design, which also says how fast this machine is."""
        first, resumed = self.state.first, bool(self.state.seconds)
        expected, started = self.plan.seconds(first), time.monotonic()
        if not self._train(first):
            return False
        slower = (time.monotonic() - started) / max(expected, START)
        # What was recorded before, or ended before it could be measured, says nothing.
        slower = 1.0 if resumed else max(LEAST_SLOWER, slower)
        self.plan = dataclasses.replace(self.plan, slower=slower)
        self._note(done=first, slower=slower, curve=curve_of(self.options.run))
        return True

    @property
    def _done(self) -> Design:
        return self.state.done or self.state.first

    def _train(self, design: Design) -> bool:
        status = grid.run(design.options(self.options), self.lease, finishes=False)
        if status == INTERRUPTED:
            self._note()
        return status != INTERRUPTED

    def _note(self, **changes: Any) -> None:
        now = time.monotonic()
        seconds = self.state.seconds + now - self.begun
        self.begun = now
        self.state = dataclasses.replace(self.state, seconds=seconds, **changes)
        self.state.write(self.options.run)


def _demand_same_data(run: Path, plan: Plan) -> None:
    """Raises UsageError if the crystals are others than when the fit began."""
    known = FinishedRun(run).manifest.get("data", {}) if (run / layout.MANIFEST).exists() else {}
    for name, source in plan.work.sources.items():
        if known.get(name, digest := source.digest()) != digest:
            raise UsageError(
                f"{name}: its data have changed since --run {run}; name another folder"
            )


def planned(options: FitOptions) -> tuple[Plan, Design, Quarantine]:
    """What designs cost on this machine, the one to begin with, and the crystals that are bad.

    Raises:
        UsageError: the data cannot be read, are no numbers or classes, or too many are bad.
    """
    largest = ALL.options(options)
    work = look(largest)
    if strange := [one for one in work.targets.values() if one.kind not in ensemble.COMBINED]:
        raise UsageError(
            f"{options.structures}: {strange[0].name} is no number or class a crystal; train it"
            " with hybrid_grid"
        )
    say_measuring()
    work = dataclasses.replace(work, left=work.planned)
    with looking_around() as machine:
        samples = read_samples(work, lambda text: None)
        found = machine()
    quarantine = next(iter(samples.values())).quarantine
    try:
        quarantine.raise_if_over_limit()
    except TooManyBad as error:
        raise UsageError(f"{options.structures}: {error}") from None
    survey = measure_all(largest, work, samples, lambda text: None)
    if not survey.sizes:
        raise UsageError(f"{options.structures}: too few good crystals; five folds need 10")
    plan = Plan(options, work, survey, found)
    crystals = next(iter(survey.sizes.values())).crystals
    return plan, plan.first(60 * options.minutes, crystals), quarantine


def listed(quarantine: Quarantine) -> list[str]:
    """The bad crystals that are known, in lines."""
    rows = quarantine.rows()
    if not rows:
        return []
    head = f"of {quarantine.seen} crystals that were read, {len(rows)} {are(len(rows))} bad:"
    more = [f"  … and {len(rows) - LISTED} more"] if len(rows) > LISTED else []
    return [head, *(f"  {in_words(row)}" for row in rows[:LISTED]), *more]


def described(plan: Plan, first: Design) -> list[str]:
    """What will be trained, in lines."""
    total = plan.seconds(first)
    told = f"first: {first}, {'and its learning curve' if first.curve else 'no learning curve'}"
    lines, done = [f"{told}: about {duration(total)}"], first
    while design := plan.next(done, 60 * plan.asked.minutes - total):
        total += plan.seconds(design, done)
        lines.append(f"then, as there is time: {design}: about {duration(total)} in all")
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
    ensemble.combine_folds(asked, ensemble.choose_models(asked))


def say(facts: dict[str, Any]) -> None:
    """Prints the results in a few lines."""
    unit = f" {facts['unit']}" if facts["unit"] else ""
    print(
        f"{facts['task']}: {facts['metric']} {with_interval(facts['error'])}{unit} on crystals that"
        " its models have not seen; without looking at the crystal"
        f" {significant(facts['trivial'])}"
    )
    if facts["double"] is not None:
        print(f"twice the data would give about {with_interval(facts['double'])}{unit}")
    if facts["weak"]:
        named = ", ".join(f"{one['element']} ({one['ratio']:.1f} ×)" for one in facts["weak"])
        print(f"elements whose crystals are predicted worst: {named}")
