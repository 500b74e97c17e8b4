"""A strategy of another package: Optuna's TPE sampler, made anew from the ledger in each round."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
import pandas as pd
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from orchestrator.grid.axes import Range, Values
from orchestrator.grid.cells import Cell, Space
from orchestrator.grid.strategies import scored

TOGETHER = 4  # configurations in a round


def distribution(values: Values) -> BaseDistribution:
    """Of an axis' values, or of its range."""
    match values:
        case (Range(low=int(low), high=high),):
            return IntDistribution(low, int(high))
        case (Range(low=low, high=high),):
            return FloatDistribution(low, high, log=True)
    return CategoricalDistribution(values)


class Tpe:
    """Tree-structured Parzen estimators (Bergstra et al. 2011), four configurations a round."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.axes = {name: distribution(values) for name, values in space.choices.items()}

    def propose(self, told: pd.DataFrame, room: int) -> Sequence[Cell]:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=len(told), n_startup_trials=TOGETHER)
        study = optuna.create_study(sampler=sampler)
        for point, error in scored(self.space, told):
            known = optuna.trial.create_trial(params=point, distributions=self.axes, value=error)
            study.add_trial(known)
        asked = [study.ask(self.axes).params for _ in range(min(TOGETHER, room))]
        return self.space.cells(*asked)
