"""How long an epoch takes: of short recipes, and of models that end in their first epoch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from orchestrator.contrast.entries import arrays_of
from orchestrator.nodes.worker import Worker
from orchestrator.training.epoch import EPOCHS, seconds_of_an_epoch
from tests.orchestrator.small_slabs import asked, given
from trainables.crystals.split import Split

SPLIT = Split(np.arange(40), np.arange(40, 50), np.arange(50, 60))
WORKER = Worker(cpus=1, gpus=0)


class Counted:
    """A training that ends after some epochs."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs
        self.epoch = 0

    @property
    def finished(self) -> bool:
        return not self.left

    def advance(self) -> Iterator[Any]:
        assert self.left, "a finished training has no further epoch"
        self.left -= 1
        self.epoch += 1
        return iter(())


@pytest.mark.parametrize(("asked_for", "diverges", "run"), [(1, 9, 2), (2, 9, 2), (7, 1, 1)])
def test_a_training_that_ends_is_asked_for_no_further_epoch(
    asked_for: int, diverges: int, run: int
) -> None:
    (array, _) = arrays_of(asked("--epochs", str(asked_for)), "x", given().pairs)
    made: list[Counted] = []

    def make(spec: Any, pairs: Any, device: str) -> Any:
        assert spec.first.recipe.epochs == max(asked_for, EPOCHS) and device == "cpu"
        made.append(Counted(min(spec.first.recipe.epochs, diverges)))
        return made[0]

    assert seconds_of_an_epoch(make, array.spec, given().pairs, SPLIT, WORKER) >= 0
    assert made[0].epoch == run


def test_a_part_of_the_data_stands_for_all() -> None:
    (array, _) = arrays_of(asked(), "x", given().pairs)
    recipe = replace(array.first.recipe, batch_size=4)
    models = {label: replace(one, recipe=recipe) for label, one in array.models.items()}
    seen: list[Any] = []

    def make(spec: Any, pairs: Any, device: str) -> Any:
        seen.append(pairs.data)
        return Slow(9)

    spec, all_pairs = replace(array.spec, models=models), given().pairs
    seconds = seconds_of_an_epoch(make, spec, all_pairs, SPLIT, WORKER)
    (few,) = seen
    rows = [*range(0, 40, 10), 3, 6, 13, 16, 23, 26, 33, 36, 40, 42, 45, 47, 50, 52, 55, 57]
    assert few.ids.tolist() == all_pairs.data.ids[sorted(rows)].tolist()
    assert seconds >= 0.02 * all_pairs.data.graphs.edges / few.graphs.edges > 0.04


class Slow(Counted):
    """One that takes a while."""

    def advance(self) -> Iterator[Any]:
        time.sleep(0.02)
        return super().advance()
