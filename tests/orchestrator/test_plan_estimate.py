"""Estimates of arrays from costs, and of workers and GPUs from arrays; no timing."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.grid.arrays import GridArray
from orchestrator.nodes.cards import GPUS
from orchestrator.nodes.worker import Worker
from orchestrator.planning import gpus
from orchestrator.planning.estimate import Estimate, GpuWork, dominating, estimate, schedule
from orchestrator.planning.machine import Machine
from orchestrator.planning.measure import Costs, Line, Record, Traffic
from orchestrator.planning.sample import Size
from tests.orchestrator.small_data import grid_array
from trainables.models.backbones import BACKBONES

COSTS = Costs(
    members=3,
    seconds=Line(1e-3, 1e-5),
    alive=Line(1e6, 1e4),
    evaluating=1e3,
    resident=40.0,
    record=Record(fixed=1e4, crystal=6.0, epoch=16.0),
    traffic=Traffic(
        kernels=Line(400, 0), moved=Line(1e6, 1e5), flops=Line(1e6, 1e5), alive=Line(1e6, 3e4)
    ),
)
SIZE = Size(1000, 20.0)
PLENTY = 1e15


def array(mixings: str = "H 0 L", **recipe: int) -> GridArray:
    changed = replace(BACKBONES["cgcnn"].recipes["paper"], **recipe)
    return grid_array(mixings, "data", dim=16, recipe=changed)


def one(mixings: str = "H 0 L", size: Size = SIZE, **recipe: int) -> Estimate:
    return estimate(array(mixings, **recipe), COSTS, size, PLENTY)


def test_an_array_of_the_measured_size_costs_what_was_measured() -> None:
    made = one(epochs=10)
    passes = 5 + 1 / 3  # 600 crystals train in batches of 128, 200 validate at once
    assert made.seconds == pytest.approx(10 * (passes * 1e-3 + 20_000 * 1e-5))
    assert made.state == 1e6
    assert made.tensors == pytest.approx(1e4 * 20 * 120)
    assert made.data == 40 * 20_000
    assert made.disk == pytest.approx(3 * (1e4 + 6000 + 160))
    assert made.gpu is not None and made.gpu.kernels == pytest.approx(10 * 400 * passes)


def test_more_of_anything_costs_more() -> None:
    few, more = one("H"), one("H 0 L -2")
    assert few.seconds < one().seconds < more.seconds
    assert few.tensors < one().tensors < more.tensors
    assert few.state < one().state < more.state
    assert few.resident < one().resident < more.resident
    assert few.disk < one().disk < more.disk
    assert one(epochs=500).seconds == pytest.approx(one(epochs=1000).seconds / 2)
    for larger in (Size(2000, 20.0), Size(1000, 40.0)):
        assert one(size=larger).seconds > one().seconds
        assert one(size=larger).data > one().data
    # as many crystals, but more steps
    assert one(batch_size=32).seconds > one(batch_size=128).seconds
    assert one(batch_size=32).tensors < one(batch_size=128).tensors


def test_predictions_of_a_large_part_may_be_the_worst_moment() -> None:
    greedy = replace(COSTS, evaluating=1e6)
    small, large = (
        estimate(array(), greedy, Size(crystals, 20.0), PLENTY) for crystals in (1000, 10_000)
    )
    assert small.tensors == pytest.approx(1e6 * 20 * 200)
    assert large.tensors == pytest.approx(1e6 * 20 * 512)  # no more at once


def test_what_is_streamed_is_not_held() -> None:
    held = estimate(array(), COSTS, SIZE, 40 * 20_000)
    streamed = estimate(array(), COSTS, SIZE, 40 * 20_000 - 1)
    assert not held.streamed and streamed.streamed
    assert streamed.data == 40 * 20_000 - 1


def test_patience_tells_how_early_an_array_may_stop() -> None:
    assert one(epochs=1000, patience=499).least == 0.5
    assert one(epochs=100, patience=500).least == 1


# ------------------------------------------------------------------------------- schedule


def test_whoever_is_free_takes_the_longest() -> None:
    assert schedule([3, 3, 2, 2, 2], 2) == 7
    assert schedule([2, 2, 2, 3, 3], 2) == 7
    assert schedule([5, 1, 1], 3) == schedule([5, 1, 1], 100) == 5
    assert schedule([1, 2, 3], 1) == 6
    assert schedule([], 4) == 0


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=6).map(lambda each: [*map(float, each)]),
    st.integers(1, 3),
)
def test_a_schedule_is_close_to_the_best_one(durations: list[float], workers: int) -> None:
    loads = [
        max(sum(d for d, w in zip(durations, hands, strict=True) if w == k) for k in range(workers))
        for hands in itertools.product(range(workers), repeat=len(durations))
    ]
    best, made = min(loads), schedule(durations, workers)
    assert best <= made <= best * (4 / 3 - 1 / (3 * workers)) + 1e-9
    assert made >= max(max(durations), sum(durations) / workers) - 1e-9


def test_who_dominates() -> None:
    parts = [("a", 1.0), ("b", 50.0), ("c", 9.0), ("b", 10.0), ("d", 30.0)]
    assert dominating(parts) == ["b", "d"]
    assert dominating([("a", 90.0), ("b", 10.0)]) == ["a"]
    assert dominating([("a", 50.0), ("b", 50.0)]) == []  # both: nothing to tell
    assert dominating([("a", 1.0)]) == [] and dominating([]) == []


# ------------------------------------------------------------------------------ workers


@pytest.mark.parametrize(
    ("cpus", "gpus_each", "workers"),
    [(1, 0, 8), (0.5, 0, 16), (3, 0, 2), (9, 0, 0), (1, 1, 2), (1, 0.25, 8), (0.1, 0.1, 20)],
)
def test_how_many_workers_fit(cpus: float, gpus_each: float, workers: int) -> None:
    machine = Machine(cpus=8, gpus=2, memory=16e9, idle=5e8, load=0.0)
    assert machine.workers(Worker(cpus=cpus, gpus=gpus_each)) == workers


def test_a_worker_may_hold_what_it_was_given_or_its_share() -> None:
    machine = Machine(cpus=8, gpus=0, memory=16e9, idle=5e8, load=0.0)
    assert machine.budget(Worker(cpus=1, gpus=0, memory=0.5)) == 2**29
    share = machine.budget(Worker(cpus=1, gpus=0))
    assert share == pytest.approx(machine.budget(Worker(cpus=2, gpus=0)) / 2)
    assert share < 2e9


# -------------------------------------------------------------------------------- cards


def doing(**work: float) -> Estimate:
    idle = {"kernels": 1.0, "moved": 1.0, "flops": 1.0, "tensors": 1e9}
    return replace(one(), gpu=GpuWork(**(idle | work)))


def seconds(work: Estimate, name: str = "h200", cards: int = 1, fraction: float = 1.0) -> float:
    return gpus.plan([work], name, cards, fraction).seconds


def test_each_limit_alone() -> None:
    assert seconds(doing(kernels=1e6)) == pytest.approx(1e6 * gpus.LAUNCH)
    assert seconds(doing(moved=4.8e15)) == pytest.approx(1000 / gpus.BANDWIDTH_REACHED)
    assert seconds(doing(flops=67e15)) == pytest.approx(1000 / gpus.FLOPS_REACHED)
    made = gpus.plan([doing(kernels=1e6)], "h200", 1, 1.0)
    assert made.limits == {"kernel launches": 1.0}


def test_neighbours_on_a_card_share_all_but_the_launching() -> None:
    assert seconds(doing(moved=1e15), fraction=0.25) == pytest.approx(
        4 * seconds(doing(moved=1e15))
    )
    two = seconds(doing(kernels=1e6), fraction=0.5)
    assert two == pytest.approx(1e6 * max(gpus.LAUNCH, 2 * gpus.KERNEL))


def test_more_or_faster_cards_are_never_slower() -> None:
    grid = [doing(kernels=1e6 * k, moved=1e14 * k) for k in range(1, 20)]
    times = [gpus.plan(grid, "a100", cards, 0).seconds for cards in (1, 2, 4, 8, 1000)]
    assert times == sorted(times, reverse=True)
    assert times[-1] == pytest.approx(max(seconds(each, "a100") for each in grid))
    slow_to_fast = [gpus.plan(grid, name, 1, 0).seconds for name in ("t4", "a10g", "a100", "h200")]
    assert slow_to_fast == sorted(slow_to_fast, reverse=True)


def test_a_plan_shares_cards_where_that_is_faster_and_fits() -> None:
    launching = [doing(kernels=1e6) for _ in range(24)]
    assert gpus.plan(launching, "h200", 1, 0).sharing > 1
    moving = [doing(moved=1e15) for _ in range(24)]
    assert gpus.plan(moving, "h200", 1, 0).sharing == 1  # the card is busy with one
    large = [doing(kernels=1e6, tensors=60e9) for _ in range(24)]
    one_each = gpus.plan(large, "h200", 1, 0)
    assert one_each.sharing == 1 and one_each.fits
    assert not gpus.plan(large, "t4", 1, 0).fits


def test_what_the_person_gave_is_kept() -> None:
    grid = [doing(moved=1e15) for _ in range(24)]
    assert gpus.plan(grid, "h200", 4, 0.25).sharing == 4
    assert gpus.plan(grid, "h200", 4, 0.25).workers == 16
    wide = gpus.plan(grid, "h200", 4, 2)
    assert (wide.sharing, wide.workers) == (1, 2)


def test_a_plan_of_cards_has_a_lower_bound() -> None:
    grid = [doing(kernels=1e6) for _ in range(4)]
    assert grid[0].least == 0.501
    plan = gpus.plan(grid, "h200", 4, 1)
    assert plan.least == pytest.approx(0.501 * plan.seconds)


@pytest.mark.parametrize("name", GPUS)
def test_a_card_is_a_card(name: str) -> None:
    card = GPUS[name]
    assert 8 <= card.memory <= 300 and 200 <= card.bandwidth <= 9000 and 5 <= card.tflops <= 200
