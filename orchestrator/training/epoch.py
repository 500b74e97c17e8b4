"""How long an epoch takes, by one over a part of the data."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from orchestrator.nodes import hardware
from orchestrator.nodes.worker import Worker
from orchestrator.training.study import Fit
from trainables.crystals.split import Split
from trainables.training.specification import MembersSpec

EPOCHS = 3  # of a recipe that is timed: a training that ends has no second one
BATCHES = 3  # of the training part that are timed
LONG = 10.0  # seconds of an epoch, in which imports and compilation no longer matter


def say_measuring() -> None:
    """Tells on stderr what the next seconds are for."""
    print("measuring what models cost here", file=sys.stderr)


def seconds_of_an_epoch(
    make_fit: Callable[..., Fit],
    spec: MembersSpec[Any],
    data: Any,
    split: Split,
    worker: Worker,
) -> float:
    """Of the second epoch of an array, as the first one imports and compiles; of a long one that.

    It runs over some batches, on the worker's device if this machine has it, else on the CPU, and
    counts as often as all crystals have more edges. Of models that all diverge in their first epoch
    it is that one.

    Args:
        split: of the data; of each part some crystals are taken.
    """
    models = {label: replace(one, recipe=_longer(one.recipe)) for label, one in spec.models.items()}
    share = BATCHES * spec.first.recipe.batch_size / len(split.train)
    least = 2 * len(models)  # each member may hold back its own
    parts = [_spread(part, share, least) for part in (split.train, split.validation, split.test)]
    few = data.take(np.sort(np.concatenate(parts)))
    on_gpu = worker.gpus > 0 and hardware.gpus_here() > 0
    fit = make_fit(replace(spec, models=models), few, "cuda" if on_gpu else "cpu")
    seconds = 0.0
    for _ in range(2):
        if not fit.finished and seconds < LONG:
            begun = time.perf_counter()
            list(fit.advance())
            seconds = time.perf_counter() - begun
    return seconds * data.data.graphs.edges / max(1, few.data.graphs.edges)


def _spread(part: np.ndarray, share: float, least: int) -> np.ndarray:
    """A share of some positions, evenly spread."""
    count = min(len(part), max(least, math.ceil(share * len(part))))
    return part[np.arange(count) * len(part) // max(1, count)]


def _longer(recipe: Any) -> Any:
    return recipe if recipe.epochs >= EPOCHS else replace(recipe, epochs=EPOCHS)
