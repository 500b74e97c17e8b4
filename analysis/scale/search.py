"""λ and η together, by Optuna: does another weight of the total length widen the front?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import optuna

from analysis.mapping import Map
from analysis.scale.gaps import Gaps, Repulsion
from analysis.scale.pareto import losses, scan_pairs

# Trials asked for at a time; fixed, so that the search is the same for any number of workers.
BATCH = 8
ETA_RANGE = (0.01, 1.0)


def search_pairs(
    pull_nn: np.ndarray,
    lambdas: Sequence[float],
    *,
    trials: int,
    seed: int,
    repulsion: Repulsion = "all",
    map: Map = map,
) -> list[Gaps]:
    """Gaps of the (λ, η) that a tree-structured Parzen estimator tries, least pull and crowding.

    λ lies between the smallest and the largest of `lambdas`, η in `ETA_RANGE`.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=optuna.samplers.TPESampler(seed=seed)
    )
    found: list[Gaps] = []
    while len(found) < trials:
        asked = [study.ask() for _ in range(min(BATCH, trials - len(found)))]
        pairs = [
            (
                trial.suggest_float("lambda", min(lambdas), max(lambdas), log=True),
                trial.suggest_float("eta", *ETA_RANGE, log=True),
            )
            for trial in asked
        ]
        new = scan_pairs(pull_nn, pairs, repulsion, map)
        for trial, values in zip(asked, losses(new).tolist(), strict=True):
            study.tell(trial, values)
        found += new
    return found
