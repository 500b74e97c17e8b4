"""How long an epoch takes: of short recipes, and of models that end in their first epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.contrast.entries import arrays_of
from orchestrator.nodes.worker import Worker
from orchestrator.training.epoch import EPOCHS, seconds_of_an_epoch
from tests.orchestrator.small_slabs import asked, given


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

    assert seconds_of_an_epoch(make, array.spec, given().pairs, Worker(cpus=1, gpus=0)) >= 0
    assert made[0].epoch == run
