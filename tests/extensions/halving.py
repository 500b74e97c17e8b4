"""A strategy of another package: successive halving (Jamieson & Talwalkar 2016, arXiv:1502.07943).

Nine configurations are trained for an epoch, the best third of them for three, the best of those
for nine. Which ones go on is read from the ledger, so nothing is kept between rounds.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from orchestrator.grid.cells import Cell, Space
from orchestrator.grid.strategies import scored

START, FACTOR = 9, 3


class Halving:
    """The best third of each round goes on with three times the epochs."""

    def __init__(self, space: Space) -> None:
        self.space = space

    def propose(self, told: pd.DataFrame, room: int) -> Sequence[Cell]:
        if told.empty:
            points, epochs = [self.space.draw(number) for number in range(START)], 1
        else:
            last = told[told["max_epochs"] == told["max_epochs"].max()]
            points = [point for point, _ in scored(self.space, last)]
            points, epochs = points[: len(points) // FACTOR], FACTOR * last["max_epochs"].max()
        return self.space.cells(*(point | {"max_epochs": epochs} for point in points[:room]))
