"""How long an epoch takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from orchestrator.nodes import hardware
from orchestrator.nodes.worker import Worker
from orchestrator.training.study import Fit
from trainables.training.specification import MembersSpec

EPOCHS = 3  # of a recipe that is timed: a training that ends has no second one


def seconds_of_an_epoch(
    make_fit: Callable[..., Fit], spec: MembersSpec[Any], data: Any, worker: Worker
) -> float:
    """Of the second epoch of an array, as the first one imports and compiles.

    It runs on the worker's device if this machine has it, else on the CPU. Of models that all
    diverge in their first epoch it is that one.
    """
    models = {label: replace(one, recipe=_longer(one.recipe)) for label, one in spec.models.items()}
    on_gpu = worker.gpus > 0 and hardware.gpus_here() > 0
    fit = make_fit(replace(spec, models=models), data, "cuda" if on_gpu else "cpu")
    seconds = 0.0
    for _ in range(2):
        if not fit.finished:
            begun = time.perf_counter()
            list(fit.advance())
            seconds = time.perf_counter() - begun
    return seconds


def _longer(recipe: Any) -> Any:
    return recipe if recipe.epochs >= EPOCHS else replace(recipe, epochs=EPOCHS)
