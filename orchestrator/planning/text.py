"""Prints a plan: on this machine, on a cluster, and the measurements and assumptions behind it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

from orchestrator.grid.inputs import LEAST_CRYSTALS
from orchestrator.grid.request import Options
from orchestrator.interface.format import duration
from orchestrator.nodes.worker import Worker
from orchestrator.planning import gpus
from orchestrator.planning.estimate import Estimate, schedule
from orchestrator.planning.gpus import GB, GpuPlan
from orchestrator.planning.machine import Machine
from orchestrator.planning.sample import Size
from orchestrator.planning.work import Survey
from trainables.crystals.condition import usual_sizes
from trainables.crystals.quarantine import limit_in_words, most_bad

LONG = 100 * 3600.0  # seconds from which on only hours are printed
NAME = 22  # characters of a data set's name


def holds(estimates: Sequence[Estimate], idle: float) -> float:
    """Peak bytes of a worker with any of the arrays."""
    return max(idle + one.resident for one in estimates)


def count(number: float) -> str:
    """Formats a number as 132 752."""
    return f"{number:,.0f}".replace(",", " ")


def span(seconds: float) -> str:
    """Formats seconds as 3 min 20 s, 4 h 07 min or 5 612 h."""
    return f"{count(seconds / 3600)} h" if seconds >= LONG else duration(seconds)


def brief(seconds: float) -> str:
    """Formats seconds as 240 ms, 1.7 s or 3 min 20 s."""
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    return f"{seconds:.1f} s" if seconds < 60 else span(seconds)


def size(number: float) -> str:
    """Formats bytes as 812 MiB or 1.9 GiB."""
    mib = number / 2**20
    if mib >= 999.5:  # which .3g writes as 1e+03
        return f"{mib / 1024:,.1f} GiB".replace(",", " ")
    return f"{mib:.3g} MiB" if mib >= 1 else "<1 MiB"


def short(name: str) -> str:
    """A data set's name, cut if it is too long for a table."""
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"


def share_of(part: float, whole: float) -> str:
    """A percentage; <1 % if it would round to zero."""
    percent = 100 * part / whole if whole else 0.0
    return "<1 %" if 0 < percent < 0.5 else f"{percent:.0f} %"


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
    """Joins names as a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def dominating(names: Sequence[str], estimates: Sequence[Estimate]) -> str:
    """Which data sets take most of the time."""
    whole = sum(one.seconds for one in estimates)
    theirs = sum(one.seconds for one in estimates if one.array.task in names)
    verb = "dominates" if len(names) == 1 else "dominate"
    return f"{listed(names)} {verb}: {share_of(theirs, whole)} of the time."


def on_this_machine(
    estimates: Sequence[Estimate], machine: Machine, worker: Worker, reading: float
) -> list[str]:
    """Time, memory and disk of the job on this machine.

    Args:
        reading: seconds for reading and featurising on one core.
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
    # The driver holds all data sets, and workers read them from shared memory.
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
    """Time and memory of the job on GPUs that are not here.

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
    """What was measured, in `seconds`, and what is assumed."""
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
    """The assumptions about data sets that are not here."""
    absent: dict[str, Size] = {}  # as seen by the first of the backbones
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
    """What will stop the job, or make it differ from the plan."""
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
    texts += _of_conditions(options, surveyed)
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


def _of_conditions(options: Options, surveyed: Survey) -> list[str]:
    """What a fold may not have, as far as that is known before the data are featurised."""
    config = options.config
    most = max(config.train_size or (0,))
    texts = []
    for task, one in {task: one for (task, _), one in surveyed.sizes.items()}.items():
        learn, validate = usual_sizes(one.crystals)
        pool = learn + validate if config.inner_folds else learn
        if most > pool:
            texts.append(
                f"{task}: about {pool} crystals of a fold may be trained on, and --train-size"
                f" {most} asks for more, so that the job stops"
            )
    if any(config.leave_out or ()):
        texts.append(
            "whether each fold has crystals with what --leave-out names, and as many as --shots"
            " asks for, is known once the data are featurised"
        )
    return texts


def _by_data(estimates: Sequence[Estimate]) -> dict[str, Estimate]:
    """One array for each data set and backbone."""
    return {f"{one.array.task} ({one.array.spec.backbone})": one for one in estimates}
