"""The time left, against timelines of grids: recorded ones, and ones that are made up."""

from __future__ import annotations

import gzip
import heapq
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.training.time_left import TimeLeft

RECORDED = sorted(Path(__file__).with_name("timelines").glob("*.json.gz"))
WITHIN = 1.5
OF_ALL = 0.07  # beside the factor: a few seconds at the end of a run are no matter of factors


@dataclass(frozen=True)
class Array:
    """The part of an array that determines its time."""

    id: str
    kind: str
    weight: float
    epochs: int = 100


@dataclass(frozen=True)
class Event:
    """`begin`, `report` or `lost` of an array; a share of its epochs, and whether it is done."""

    now: float
    what: str
    name: str
    share: float = 0.0
    done: bool = False


def replay(arrays: list[Any], events: list[Event], end: float) -> Iterator[tuple[float, float]]:
    """Predictions after each event, without None, and the actual times."""
    clock = TimeLeft(arrays, {array.id: array.weight for array in arrays})
    for event in sorted(events, key=lambda event: event.now):
        if event.what == "begin":
            clock.begin(event.name, event.now)
        elif event.what == "lost":
            clock.lost(event.name)
        else:
            clock.report(event.name, event.share, event.done, event.now)
        left = clock.seconds(event.now)
        if left is not None:
            yield left, end - event.now


def demand_good(predicted: list[tuple[float, float]], end: float, by: float) -> None:
    """All are within the factor, and the first comes before a share `by` of the time."""
    for left, took in predicted:
        low, high = took / WITHIN - OF_ALL * end, took * WITHIN + OF_ALL * end
        assert low <= left <= high, f"{left:.0f} s left at {end - took:.0f} of {end:.0f} s"
    assert predicted and end - predicted[0][1] <= by * end


def made_up(
    arrays: list[Array], workers: int, *, pace: dict[str, float], stops: float, start: float = 20.0
) -> tuple[list[Event], float]:
    """A grid as Tune would run it: models that stop early at random, workers that start once."""
    rng = random.Random(3)
    free = [(0.0, worker, start) for worker in range(workers)]
    events, end = [], 0.0
    for array in arrays:
        now, worker, delay = heapq.heappop(free)
        events.append(Event(now, "begin", array.id))
        last = stops * rng.uniform(0.8, 1.2) if stops < 1 else 1.0
        whole = array.weight * pace[array.kind] * rng.uniform(0.9, 1.1)
        steps = 40
        for step in range(1, steps + 1):
            share = min(last * step / steps, 1.0)
            at = now + delay + whole * share
            events.append(Event(at, "report", array.id, share, step == steps))
        heapq.heappush(free, (at, worker, 0.0))
        end = max(end, at)
    return events, end


def grid(folds: int) -> list[Array]:
    found = [
        Array(f"{kind}/{dim}/{fold}", kind, cost * dim**0.5)
        for kind, cost in (("megnet", 30.0), ("cgcnn", 8.0))
        for dim in (64, 16)
        for fold in range(folds)
    ]
    return sorted(found, key=lambda array: -array.weight)


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("stops", [1.0, 0.3])  # a share of the epochs; 1: none stops early
def test_within_a_factor_once_it_is_shown(workers: int, stops: float) -> None:
    arrays = grid(5)
    # what CGCNN is said to cost is off by a third
    events, end = made_up(arrays, workers, pace={"megnet": 1.0, "cgcnn": 1.35}, stops=stops)
    # the kind that is begun last is tried late, and with many workers the first round is half of it
    demand_good(list(replay(arrays, events, end)), end, by=0.75 if workers < 7 else 0.9)


def test_a_last_array_that_one_worker_trains_alone_counts_whole() -> None:
    arrays = [Array("long", "a", 10.0), Array("short", "a", 1.0), Array("longer", "a", 10.0)]
    events, end = made_up(arrays, 2, pace={"a": 10.0}, stops=1.0)
    demand_good(list(replay(arrays, events, end)), end, by=0.6)


def test_an_array_whose_worker_died_is_expected_anew() -> None:
    clock = TimeLeft([Array("a", "k", 1.0), Array("b", "k", 1.0)], {"a": 1.0, "b": 1.0})
    clock.begin("a", 0.0)
    clock.report("a", 0.1, False, 10.0)
    clock.report("a", 1.0, True, 100.0)
    clock.begin("b", 100.0)
    clock.report("b", 0.5, False, 150.0)
    assert clock.seconds(150.0) == pytest.approx(50.0)
    clock.lost("b")
    assert clock.seconds(150.0) == pytest.approx(100.0)
    assert clock.running == 0


def test_an_array_that_goes_on_from_a_snapshot_is_not_taken_for_fast() -> None:
    clock = TimeLeft([Array("a", "k", 1.0), Array("b", "k", 1.0)], {"a": 1.0, "b": 1.0})
    clock.begin("a", 0.0)
    clock.report("a", 0.9, False, 20.0)  # 0.88 of it by the worker before
    clock.report("a", 1.0, True, 30.0)
    assert clock.seconds(30.0) == pytest.approx(100.0)


def test_nothing_is_said_before_anything_has_finished() -> None:
    arrays = grid(2)
    clock = TimeLeft(arrays, {array.id: array.weight for array in arrays})
    assert clock.seconds(0.0) is None
    clock.begin(arrays[0].id, 0.0)
    clock.report(arrays[0].id, 0.99, False, 500.0)
    assert clock.seconds(500.0) is None


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name.split(".")[0])
def test_recorded_grids(path: Path) -> None:
    """Timelines of grids that were trained, as their driver saw them."""
    facts = json.loads(gzip.decompress(path.read_bytes()))
    arrays = [Array(*fields) for fields in facts["arrays"]]
    events = [Event(*fields) for fields in facts["events"]]
    predicted = list(replay(arrays, events, facts["end"]))
    # where arrays stop early, one after a tenth of its epochs and one after all, that is for chance
    demand_good(predicted, facts["end"], by=0.75 if facts["tells"] else 1.0)


def test_there_are_recorded_grids() -> None:
    assert len(RECORDED) == 2
