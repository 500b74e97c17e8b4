"""What a plan says in sentences: on this machine, on a cluster, and what all of it rests on."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

from orchestrator.grid.flags import Options
from orchestrator.grid.inputs import LEAST_CRYSTALS
from orchestrator.nodes.worker import Worker
from orchestrator.planning import gpus
from orchestrator.planning.estimate import Estimate, schedule
from orchestrator.planning.gpus import GB, GpuPlan
from orchestrator.planning.machine import Machine
from orchestrator.planning.sample import Size
from orchestrator.planning.survey import Survey
from orchestrator.planning.tables import count, share_of, size, span
from trainables.crystals.quarantine import limit_in_words, most_bad

WIDTH = 100
LABEL = 14


def item(label: str, text: str) -> list[str]:
    """A labelled paragraph."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"  {label:<{LABEL - 2}}",
        subsequent_indent=" " * LABEL,
        break_on_hyphens=False,
    )


def listed(names: Sequence[str]) -> str:
    """Like a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def dominating(names: Sequence[str], estimates: Sequence[Estimate]) -> str:
    """Which data sets the time goes to."""
    whole = sum(one.seconds for one in estimates)
    theirs = sum(one.seconds for one in estimates if one.array.task in names)
    verb = "dominates" if len(names) == 1 else "dominate"
    return f"{listed(names)} {verb}: {share_of(theirs, whole)} of the time."


def on_this_machine(
    estimates: Sequence[Estimate], machine: Machine, worker: Worker, reading: float
) -> list[str]:
    """Time, memory and disk of the job here.

    Args:
        reading: seconds that reading and featurising take on one core.
    """
    workers = machine.workers(worker)
    each = f"{worker.cpus:g} CPU" + (f" and {worker.gpus:g} GPU" if worker.gpus else "")
    has = f"{machine.cpus} CPUs, {machine.gpus} GPUs" if worker.gpus else f"{machine.cpus} CPUs"
    lines = [f"This machine: {has}, {size(machine.memory)}; {workers} workers of {each} at a time"]
    if workers:
        lines += item("time", _time(estimates, workers))
        if reading > workers:
            text = f"before that about {span(reading / workers)} to read and featurise the crystals"
            lines += item("", text)
        lines += item("memory", _memory(estimates, machine, worker))
    else:
        lines += item("time", "no worker fits; lower --cpus-per-worker or --gpus-per-worker")
    disk = sum(one.disk for one in estimates)
    lines += item("disk", f"{size(disk)} of records: weights, vectors, predictions, curves")
    return lines


def _time(estimates: Sequence[Estimate], workers: int) -> str:
    most = schedule((one.seconds for one in estimates), workers)
    least = schedule((one.seconds * one.least for one in estimates), workers)
    longest = max(estimates, key=lambda one: one.seconds)
    text = f"at most {span(most)}, if every model goes to its last epoch"
    if least < 0.99 * most:
        patience = max(one.array.spec.recipe.patience for one in estimates)
        text += f"; at least {span(least)}, for early stopping waits {patience} epochs"
    else:
        text += " (the patience is too long for any to stop before)"
    if workers > 1 and longest.seconds > 0.99 * most:
        text += (
            f"; one array, {longest.array.id}, takes that long, so that more workers would not"
            " be faster"
        )
    return text


def _memory(estimates: Sequence[Estimate], machine: Machine, worker: Worker) -> str:
    workers = machine.workers(worker)
    largest = max(estimates, key=lambda one: one.resident)
    each = machine.idle + largest.resident
    # The driver holds all data sets, and hands them out from memory that all share.
    rest = machine.idle + 2 * sum(one.data for one in _by_data(estimates).values())
    text = (
        f"{size(each)} a worker with {largest.array.id}"
        f" ({size(machine.idle)} idle, {size(largest.data)} data); together with the driver"
        f" {size(workers * each + rest)}"
    )
    if workers * each + rest <= machine.memory:
        return f"{text} of {size(machine.memory)}"
    fit = int((machine.memory - rest) / each)
    if fit < 1:
        way_out = "and one worker alone does not fit: fewer --mixing or smaller --dims make it less"
    else:
        cpus = math.ceil(machine.cpus / fit)
        way_out = f"--cpus-per-worker {cpus} runs {machine.cpus // cpus} at a time"
    return f"{text}: MORE THAN THE {size(machine.memory)} HERE; {way_out}"


def on_gpus(plan: GpuPlan, cpus: float) -> list[str]:
    """The same on cards that are not here.

    Args:
        cpus: of a worker.
    """
    card = plan.gpu
    lines = [
        f"{plan.cards} × {plan.name} ({card.memory:g} GB, {count(card.bandwidth)} GB/s,"
        f" {card.tflops:g} TFLOP/s each): predicted by a roofline model, not measured"
    ]
    many = "one worker" if plan.sharing == 1 else f"{plan.sharing} workers"
    sharing = f"{many} on each card (--gpus-per-worker {plan.fraction:.3g})"
    least = f", at least {span(plan.least)}" if plan.least < 0.99 * plan.seconds else ""
    lines += item("time", f"at most {span(plan.seconds)}{least}, with {sharing}")
    limits = sorted(plan.limits.items(), key=lambda pair: -pair[1])
    text = ", ".join(f"{name} ({share_of(part, 1)})" for name, part in limits)
    lines += item("limited by", text)
    fits = "" if plan.fits else ": MORE THAN IT HAS; fewer --mixing or smaller --dims make it less"
    lines += item("memory", f"{size(plan.needed)} of a card's {size(card.memory * GB)}{fits}")
    workers = plan.workers
    lines += item("hosts", f"{count(math.ceil(workers * cpus))} CPUs for {count(workers)} workers")
    return lines + item(
        "assumed",
        f"{100 * gpus.BANDWIDTH_REACHED:.0f} % of the data sheet's bandwidth and"
        f" {100 * gpus.FLOPS_REACHED:.0f} % of its FP32 rate are reached; a kernel takes"
        f" {1e6 * gpus.LAUNCH:g} µs to launch and at least {1e6 * gpus.KERNEL:g} µs to run; kernels"
        " are counted without compiling, which makes them fewer in long trainings",
    )


def basis(surveyed: Survey, seconds: float) -> list[str]:
    """What was measured, in so many seconds, and what is assumed."""
    sizes, lines = surveyed.sizes, ["What this rests on"]
    if surveyed.costs:
        lines += item(
            "measured",
            f"a few epochs of {len(surveyed.costs)} configurations on some crystals of"
            f" {listed(surveyed.measured_on)}, in {span(seconds)}; other data sets by their nodes"
            " and edges. So fast is a worker that has its CPUs to itself",
        )
    return lines + [line for text in _assumed(sizes) for line in item("assumed", text)]


def _assumed(sizes: Mapping[tuple[str, str], Size]) -> list[str]:
    """What is taken for granted of data sets that are not here."""
    absent: dict[str, Size] = {}  # as the first of the backbones sees them
    for (task, _), one in sizes.items():
        if one.as_in is not None:
            absent.setdefault(task, one)
    own = [f"{task} {one.rows:.0f}" for task, one in absent.items() if one.as_in == task]
    texts = []
    if own:
        texts.append(f"nodes and edges a crystal, as counted once: {listed(own)}")
    for like in dict.fromkeys(one.as_in for one in absent.values()):
        others = [task for task, one in absent.items() if one.as_in == like != task]
        if others:
            texts.append(
                f"{listed(others)}: not here, so crystals like those of {like}"
                f" ({absent[others[0]].rows:.0f} nodes and edges each); those with larger cells"
                " take that many times longer"
            )
    return texts


def warnings(
    options: Options,
    surveyed: Survey,
    estimates: Sequence[Estimate],
    machine: Machine,
) -> list[str]:
    """What will stop the job, or make it go otherwise than planned."""
    texts = []
    for task, one in {task: one for (task, _), one in surveyed.samples.items()}.items():
        good, max_bad = len(one.dataset), options.config.accepted_bad
        if good < LEAST_CRYSTALS:
            texts.append(f"{task}: {good} good crystals, and the job wants {LEAST_CRYSTALS}")
        if one.bad > most_bad(max_bad, one.read):
            texts.append(
                f"{task}: {one.bad} of {one.read} crystals that were looked at are bad, and the"
                f" job stops above {limit_in_words(max_bad, 'crystals')} (--max-bad)"
            )
    streamed = [name for name, one in _by_data(estimates).items() if one.streamed]
    if streamed:
        texts.append(
            f"{listed(streamed)}: too large for a worker's memory, so streamed from shards"
            " (--memory-per-worker); the time for that is not in the plan"
        )
    if options.worker.gpus and not machine.gpus:
        texts.append("there is no GPU here, so times were measured on the CPU")
    if machine.load > machine.cpus / 4:
        texts.append(
            f"the load is {machine.load:.1f} on {machine.cpus} CPUs; while others work here, it"
            " takes longer"
        )
    if options.address is not None:
        texts.append(f"the cluster at {options.address} was not asked; this is for one machine")
    return [line for text in texts for line in item("careful", text)]


def _by_data(estimates: Sequence[Estimate]) -> dict[str, Estimate]:
    """An array of each data set and backbone."""
    return {f"{one.array.task} ({one.array.spec.backbone})": one for one in estimates}
