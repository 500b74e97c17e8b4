"""Strategies: which configurations a run trains, all at once or round by round.

A strategy is a function of what is recorded and of the configuration, so it keeps no state: after a
break, the same rounds propose the same cells, of which those with a record are not trained again.
Other packages register theirs by an entry point of the group `elemgrid.strategies`: its name is the
value of --strategy, its object makes a `Strategy` from a `Space`.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from itertools import islice
from typing import Protocol

import pandas as pd

from orchestrator.grid.axes import Range
from orchestrator.grid.cells import CHOICES, REPEATS, Cell, Point, Space
from orchestrator.grid.columns import varying
from orchestrator.grid.config import GRID, RANDOM, STRATEGIES, strategy_names
from orchestrator.interface.errors import UsageError
from orchestrator.runs.records import DONE

TINY = 1e-9  # beside an error
PATIENCE = 20  # draws in a row that may bring nothing new, for each point that there is
OF_TEST_PART = ("test_", "dummy_", "scores")  # beginnings of columns that no strategy sees


class Strategy(Protocol):
    """Proposes cells to train."""

    def propose(self, told: pd.DataFrame, room: int) -> Sequence[Cell]:
        """The next cells, as `Space.cells` makes them; none ends the run.

        Args:
            told: the ledger of all cells proposed so far, with a column for each axis, and without
                errors on test parts; in the first round it has no rows.
            room: number of configurations that the budget still allows, above 0.
        """


class Grid:
    """All combinations of all values, at once."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def propose(self, told: pd.DataFrame, room: int) -> Sequence[Cell]:
        """The whole grid in the first round."""
        return self._space.cells(*self._space.points()) if told.empty else []


class Random:
    """Distinct configurations, drawn from the seed: the first N are the same for any budget.

    Listed values are equally likely, as are whole numbers of a range; other numbers are drawn
    evenly on a logarithmic scale.
    """

    def __init__(self, space: Space) -> None:
        self._space = space

    def propose(self, told: pd.DataFrame, room: int) -> Sequence[Cell]:
        """All configurations of the budget in the first round."""
        number = len(configurations(told)) + room
        return self._space.cells(*islice(self._distinct(), number))

    def _distinct(self) -> Iterator[Point]:
        """The points as they are drawn, without those whose models came before; ends after all.

        So many draws in a row that bring nothing new mean that there is nothing more, but for a
        point in e^20 or so.
        """
        most = math.prod(_size(values) for values in self._space.choices.values())
        number = last = 0
        points: set[tuple[object, ...]] = set()
        models: set[tuple[Cell, ...]] = set()
        while len(points) < most and number - last <= PATIENCE * (len(points) + 1):
            point = self._space.draw(number)
            number += 1
            if tuple(point.values()) in points:
                continue
            points.add(tuple(point.values()))
            last = number
            trained = tuple(self._space.cells(point))
            if trained not in models:
                models.add(trained)
                yield point


def _size(values: Sequence[object]) -> float:
    return values[0].size if isinstance(values[0], Range) else len(values)


Make = Callable[[Space], Strategy]
BUILT_IN: dict[str, Make] = {GRID: Grid, RANDOM: Random}


def strategy_of(name: str) -> Make:
    """The strategy of a name.

    Raises:
        UsageError: there is none, or its package cannot be imported.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    entries = list(entry_points(group=STRATEGIES, name=name))
    if len(entries) != 1:
        found = "no package has it" if not entries else "two packages have it; uninstall one"
        raise UsageError(f"--strategy {name}: {found}; there are {', '.join(strategy_names())}")
    try:
        made: Make = entries[0].load()
    except Exception as error:  # whatever the import of another package raises
        why = f"{entries[0].value}: {type(error).__name__}: {error}"
        raise UsageError(f"--strategy {name}: cannot be imported ({why})") from None
    return made


class Search:
    """The strategy of a configuration, within its budget.

    Raises:
        UsageError: there is no such strategy, or one of another package fails, in one line.
    """

    def __init__(self, space: Space) -> None:
        self._name, self._budget = space.config.strategy or GRID, space.config.budget
        make = strategy_of(self._name)
        with self._in_a_line():
            self._strategy = make(space)

    def propose(self, told: pd.DataFrame) -> list[Cell]:
        """The next cells; none of them is in the ledger so far."""
        room = sys.maxsize
        if self._budget is not None:
            room = self._budget - len(configurations(told))
        if room <= 0:
            return []
        known = set(told["key"])
        hidden = told.columns.str.startswith(OF_TEST_PART)
        with self._in_a_line():
            proposed = self._strategy.propose(told.loc[:, ~hidden], room)
            new = {cell.key: cell for cell in reversed(proposed) if cell.key not in known}
            return list(reversed(new.values()))

    @contextmanager
    def _in_a_line(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever the code of another package raises
            if self._name in BUILT_IN:
                raise
            what = f"{type(error).__name__}: {error}"
            raise UsageError(
                f"--strategy {self._name} failed ({what}); what is recorded stays"
            ) from error


def scored(space: Space, told: pd.DataFrame) -> list[tuple[Point, float]]:
    """The configurations of a ledger and their validation errors, the best first.

    An error is relative to the lowest of its data set, fold, seed and inner fold, and averaged over
    these; it is infinite if a model failed or diverged.
    """
    errors = told["val_error"].where(told["status"] == DONE)
    lowest = errors.groupby([told[column] for column in (*REPEATS, "inner_fold")]).transform("min")
    # the lowest may be 0, as of classes that a model separates
    relative = ((errors + TINY) / (lowest + TINY)).fillna(math.inf)
    columns = [column for column in CHOICES if column in {*space.choices, *varying(told)}]
    means = relative.groupby([told[column] for column in columns], dropna=False, sort=False).mean()
    found = [
        (dict(zip(columns, values, strict=True)), error)
        for values, error in zip(means.index, means, strict=True)
    ]
    return sorted(found, key=operator.itemgetter(1))


def configurations(told: pd.DataFrame) -> pd.DataFrame:
    """The distinct configurations of a ledger: a row each, with the columns of their axes."""
    return told[list(CHOICES)].drop_duplicates(ignore_index=True)
