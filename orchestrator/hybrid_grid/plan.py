"""`--dry-run`: prints what is done of a grid, and what the rest will cost; stores nothing."""

from __future__ import annotations

import sys
import time

from orchestrator.grid.config import RANDOM
from orchestrator.grid.request import Options
from orchestrator.interface.format import are, counted
from orchestrator.planning import gpus, tables, text
from orchestrator.planning.estimate import dominating, estimate
from orchestrator.planning.machine import Machine, looking_around
from orchestrator.planning.work import Survey, Work, look, measure_all, read_samples


def print_plan(options: Options) -> None:
    """Prints models, time and memory by data set, by configuration, and in total.

    Raises:
        UsageError, SourceError: a data set cannot be found or read.
    """
    start = time.perf_counter()
    work = look(options)
    recorded = sum(work.recorded.values())
    models, arrays = counted(work.models, "model"), counted(len(work.planned), "array")
    print(f"{models} in {arrays}; {recorded} {are(recorded)} recorded")
    if options.config.strategy not in (None, RANDOM):
        print(f"--strategy {options.config.strategy} may propose more once these are trained")
    if not work.left:
        print("nothing is left to train")
        return
    with looking_around() as machine:
        samples = read_samples(work, _say)
        found = machine()
    surveyed = measure_all(options, work, samples, _say)
    _say("")
    for block in _blocks(options, work, surveyed, found, start):
        print("\n" + "\n".join(block))


def _blocks(
    options: Options, work: Work, surveyed: Survey, machine: Machine, start: float
) -> list[list[str]]:
    """Paragraphs and tables, each as lines."""
    budget = machine.budget(options.worker)
    estimates = [
        estimate(array, surveyed.costs_of(array), size, budget)
        for array in work.left
        if (size := surveyed.sizes.get((array.task, array.spec.backbone))) is not None
    ]
    heavy = dominating((one.array.task, one.seconds) for one in estimates)
    blocks = [tables.by_task(work, surveyed.sizes, estimates, machine.idle, heavy)]
    if heavy:
        blocks[0].append(text.dominating(heavy, estimates))
    if estimates:
        blocks.append(tables.by_configuration(estimates, machine.idle))
        blocks.append(text.on_this_machine(estimates, machine, options.worker, surveyed.reading))
    if estimates and options.plan_gpus is not None:
        name, cards = options.plan_gpus
        plan = gpus.plan(estimates, name, cards, options.worker.gpus)
        blocks.append(text.on_gpus(plan, options.worker.cpus))
    basis = text.basis(surveyed, time.perf_counter() - start)
    return [*blocks, basis + text.warnings(options, surveyed, estimates, machine)]


def _say(what: str) -> None:
    """Prints the current step to the waiting user."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)
