"""What a comparison can establish, and how many seeds it takes; `--plan`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.power import Spread, detectable, mean_spread, seeds_needed
from orchestrator.interface.format import counted, significant
from orchestrator.transfer.files import FinishedTransfer
from orchestrator.transfer.flags import TransferOptions
from orchestrator.transfer.published import SEED_NOISE
from orchestrator.transfer.results import LEAST_FOLDS, METRIC, by_fold, error_of, spreads
from orchestrator.transfer.tables import Table
from trainables.compositions.dataset import Compositions


@dataclass(frozen=True, kw_only=True)
class Design:
    """A comparison of tables with a reference on one data set.

    Attributes:
        tests: tables that are compared with the reference.
        test_by_train: ratio of the sizes of a fold's test and training parts.
        error: of the reference, in units of the score; None if not known.
        spread: of differences, in units of the reference's error.
    """

    task: str
    reference: str
    folds: int
    seeds: int
    tests: int
    test_by_train: float
    error: float | None
    spread: Spread

    def line(self, wanted: float) -> str:
        """What it can establish, and how many seeds a wanted share of the error takes."""
        size = (
            f"{self.task}: {counted(self.folds, 'fold')}, {counted(self.seeds, 'seed')},"
            f" {counted(self.tests, 'table')} compared with {self.reference}"
        )
        if self.folds < LEAST_FOLDS:
            return f"{size}: {LEAST_FOLDS} folds are the least that can establish a difference"
        smallest = detectable(
            self.spread.deviation(self.seeds), self.folds, self.test_by_train, self.tests
        )
        own = "" if self.error is None else f" ({significant(smallest * self.error)})"
        return (
            f"{size}: a difference of {smallest:.1%} of its error{own} is the smallest that is"
            f" established 4 times in 5; {self._needed(wanted)}"
        )

    def _needed(self, wanted: float) -> str:
        needed = seeds_needed(wanted, self.spread, self.folds, self.test_by_train, self.tests)
        if needed is None:
            return f"no number of seeds is enough for {wanted:.1%}: its folds differ too much"
        return f"{wanted:.1%} takes {counted(needed, 'seed')}"


def designs_of(
    scores: pd.DataFrame,
    compared: Sequence[Mapping[str, Any]],
    reference: str,
    test_by_train: float,
    wanted: float,
) -> list[str]:
    """What a finished comparison could establish, a line a data set, by its own scatter.

    Args:
        compared: the results of `compare`.
    """
    lines = []
    for task in dict.fromkeys(row["task"] for row in compared):
        tested = [row for row in compared if row["task"] == task and row.get("pairs")]
        seen = _observed(scores, task, tested[0]["metric"], reference) if tested else None
        if seen is None:
            continue
        error, spread = seen
        design = Design(
            task=task,
            reference=reference,
            folds=max(row["pairs"] for row in tested),
            seeds=int(scores.loc[scores["task"] == task, "seed"].nunique()),
            tests=len(tested),
            test_by_train=test_by_train,
            error=error,
            spread=spread,
        )
        lines.append(design.line(wanted))
    return lines


def plan_lines(
    options: TransferOptions, data: Mapping[str, Compositions], tables: Sequence[Table]
) -> list[str]:
    """For each data set what the design can establish, and on which scatter that rests."""
    reference = options.reference or tables[0].name
    if len(tables) < 2:
        return [f"{reference} is the only table; name another to compare it with"]
    done = FinishedTransfer(options.run)
    lines = []
    for name, one in data.items():
        error, spread, source = _scatter(options, name, one.classes, reference, done)
        tested = np.array([len(one.test_rows(fold)) for fold in options.folds])
        design = Design(
            task=name,
            reference=reference,
            folds=len(options.folds),
            seeds=len(options.seeds),
            tests=len(tables) - 1,
            test_by_train=float((tested / (len(one) - tested)).mean()),
            error=error,
            spread=spread,
        )
        lines += [design.line(options.detect), f"  {source}"]
    return lines


def _scatter(
    options: TransferOptions, task: str, classes: bool, reference: str, done: FinishedTransfer
) -> tuple[float | None, Spread, str]:
    """The reference's error, the scatter of differences in its units, and their source."""
    seen = _observed(done.scores, task, METRIC[classes], reference) if done.exists else None
    if seen is not None:
        error, spread = seen
        folds, seeds = (math.sqrt(part) for part in (spread.folds, spread.seeds))
        facts = done.facts
        note = "" if len(facts["seeds"]) > 1 else "; its one seed cannot tell the two apart"
        return (
            error,
            spread,
            (
                f"as {options.run} has it (recipe {facts['recipe']},"
                f" {facts['epochs'][task]} epochs): differences scatter by {seeds:.1%} of the error"
                f" between seeds and {folds:.1%} between folds{note}"
            ),
        )
    noise = options.noise or SEED_NOISE.get(task, SEED_NOISE["expt_gap"])
    # Both models of a difference have it.
    return (
        None,
        Spread(folds=0.0, seeds=2 * noise**2),
        (
            f"assumed, as {options.run} has no such results: seeds change a model's error on a"
            f" fold by {noise:.1%}, and a table helps equally on all folds"
        ),
    )


def _observed(
    scores: pd.DataFrame, task: str, metric: str, reference: str
) -> tuple[float, Spread] | None:
    """The reference's error, and the mean scatter of the differences from it in its units."""
    found = list(spreads(scores, task, metric, reference).values())
    if not found:
        return None
    error = error_of(float(by_fold(scores, task, metric)[reference].mean()), metric)
    if not error > 0:
        return None
    mean = mean_spread(found)
    return error, Spread(folds=mean.folds / error**2, seeds=mean.seeds / error**2)
