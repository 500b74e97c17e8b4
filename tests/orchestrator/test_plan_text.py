"""The text of a plan, in cases that do not occur on the machine of the tests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.hybrid_grid.flags import parse
from orchestrator.nodes.worker import Worker
from orchestrator.planning import gpus, tables, text
from orchestrator.planning.estimate import Estimate, GpuWork
from orchestrator.planning.machine import Machine
from orchestrator.planning.work import Survey
from tests.orchestrator.small_data import grid_array
from tests.orchestrator.test_plan_estimate import PLENTY, array, one
from trainables.models.backbones import BACKBONES

GIB = 2**30
SMALL = Machine(cpus=8, gpus=0, memory=8.0 * GIB, idle=0.5 * GIB, load=0.0)
ONE_CPU = Worker(cpus=1, gpus=0)


def holding(gib: float) -> Estimate:
    return replace(one(), data=gib * GIB, state=0.0, tensors=0.0)


def told(estimates: list[Estimate], machine: Machine = SMALL, worker: Worker = ONE_CPU) -> str:
    lines = text.on_this_machine(estimates, machine, worker, reading=0.0)
    assert max(map(len, lines)) <= text.WIDTH
    return " ".join(" ".join(lines).split())


def test_memory_that_suffices_is_told_and_no_more() -> None:
    assert "of 8.0 GiB disk" in told([holding(0.1)])


def test_too_many_workers_for_the_memory_are_fewer_with_more_cpus_each() -> None:
    said = told([holding(1.0)])
    assert "MORE THAN THE 8.0 GiB HERE; --cpus-per-worker 3 runs 2 at a time" in said
    # and so it is: 2 workers fit
    assert "MORE" not in told([holding(1.0)], worker=Worker(cpus=3, gpus=0))


def test_a_model_too_large_for_the_machine_is_named() -> None:
    said = told([replace(one(), tensors=20.0 * GIB)])
    assert "one worker alone does not fit: fewer --mixing or smaller --dims" in said


def test_a_longest_array_that_all_wait_for_is_named() -> None:
    long = replace(one(), seconds=7200.0)
    said = told([long, replace(one(), seconds=60.0)])
    assert "at most 2 h 00 min" in said
    assert "one array, data/fold0/cgcnn/d16, takes that long" in said
    assert "takes that long" not in told([long] * 40)


def test_without_early_stopping_there_is_no_lower_bound() -> None:
    said = told([one(epochs=100, patience=500)])
    assert "the patience is too long for any to stop before" in said and "at least" not in said


def test_a_card_that_is_too_small_is_told() -> None:
    work = GpuWork(kernels=1.0, moved=1.0, flops=1.0, tensors=50.0 * GIB)
    plan = gpus.plan([replace(one(), gpu=work)], "t4", 3, 0)
    said = " ".join(" ".join(text.on_gpus(plan, cpus=2.0)).split())
    assert "of a card's 14.9 GiB: MORE THAN IT HAS" in said
    assert "6 CPUs for 3 workers" in said and "one worker on each card" in said


@pytest.mark.parametrize(("load", "warned"), [(0.0, False), (2.0, False), (5.0, True)])
def test_a_busy_machine_is_warned_of(load: float, warned: bool) -> None:
    options = parse(["--preset", "demo", "--dry-run"])
    nothing = Survey(samples={}, sizes={}, costs={}, measured_on=[])
    said = text.warnings(options, nothing, [], replace(SMALL, load=load))
    assert ("the load is 5.0 on 8 CPUs" in " ".join(said)) is warned


def test_cards_that_the_workers_want_and_the_machine_lacks() -> None:
    options = parse(["--preset", "demo", "--dry-run", "--gpus-per-worker", "0.5"])
    nothing = Survey(samples={}, sizes={}, costs={}, measured_on=[])
    assert "measured on the CPU" in text.warnings(options, nothing, [], SMALL)[0]
    assert not text.warnings(options, nothing, [], replace(SMALL, gpus=1))


def test_long_names_are_cut_and_the_table_stays_narrow() -> None:
    name = "formation_energies_of_everything_v2"
    cost = replace(one(), array=replace(array(), task=name), seconds=1e9, data=PLENTY)
    lines = tables.by_configuration([cost], idle=5e8)
    assert max(map(len, lines)) <= 100
    assert len(text.short(name)) == text.NAME and text.short(name).endswith("…")


def test_configurations_that_differ_in_cost_have_lines_of_their_own() -> None:
    def tensor(seconds: float, *, lr: float = 0.001, **options: int) -> Estimate:
        entry = BACKBONES["tensor"]
        recipe = replace(entry.recipes["tuned"], lr=lr)
        made = grid_array(
            backbone="tensor", recipe=recipe, options=entry.options(**options),
            representation=entry.representation,
        )  # fmt: skip
        return replace(one(), array=made, seconds=seconds)

    def rows(*estimates: Estimate) -> list[str]:
        lines = tables.by_configuration(estimates, idle=0.0)[2:-2]
        return [" ".join(line.split("  ")[1].split()) for line in lines]

    low, high, faster = tensor(60, l_max=0), tensor(600, l_max=2), tensor(600, l_max=2, lr=0.01)
    assert rows(low, one(), high, faster) == [
        "tensor d4, l_max 2",
        "cgcnn d16",
        "tensor d4, l_max 0",
    ]
    assert rows(high, faster) == ["tensor d4"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "<1 s"), (200, "3 min 20 s"), (7200, "2 h 00 min"), (20_203_200, "5 612 h")],
)
def test_spans(seconds: float, said: str) -> None:
    assert text.span(seconds) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (1000, "<1 MiB"),
        (3.25 * 2**20, "3.25 MiB"),
        (1.9 * GIB, "1.9 GiB"),
        (999.7 * 2**20, "1.0 GiB"),
    ],
)
def test_sizes(number: float, said: str) -> None:
    assert text.size(number) == said


@pytest.mark.parametrize(("part", "said"), [(0, "0 %"), (0.1, "<1 %"), (82, "82 %")])
def test_shares(part: float, said: str) -> None:
    assert text.share_of(part, 100) == said
