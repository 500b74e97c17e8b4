"""Screens for data sets that depend on composition: forests on formulas, by fold on actors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.mapping import Map
from analysis.screening import FoldScore, Screened, fractions, score_fold, summarise
from orchestrator.data.compositions import resolve
from orchestrator.data.divided import folds_of
from orchestrator.data.featurise import any_graphs_of
from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import are, counted
from trainables.crystals.folds import LEARN, VALIDATE, GivenFolds
from trainables.crystals.registry import FOLDS, TASKS, official_folds
from trainables.representations import shards


@dataclass(frozen=True)
class Formulas:
    """B compositions with their property.

    Attributes:
        fractions: [B, 103], shares of the elements.
        target: [B].
        rows, total, folds: as of `Dataset`; they determine the parts of a fold.
    """

    fractions: np.ndarray
    target: np.ndarray
    rows: np.ndarray
    total: int
    folds: GivenFolds | None = None

    def fold(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the training and the test part of a fold."""
        if self.folds is not None:
            learned = np.isin(self.folds.parts[number], (LEARN, VALIDATE))
            return np.flatnonzero(learned), self.folds.test_rows(number)
        classes = self.target > self.target.min() if len(np.unique(self.target)) == 2 else None
        whole = classes is not None and self.total == len(self.rows)
        folds = official_folds(None, classes) if whole else official_folds(self.total)
        tests = np.isin(self.rows, folds[number][1])
        return np.flatnonzero(~tests), np.flatnonzero(tests)


def screen(
    data: Mapping[str, Formulas], errors: Mapping[str, float], seed: int, map: Map = map
) -> list[Screened]:
    """Scores each data set over its folds.

    Args:
        errors: the run's test error of the configuration that validation selects, by task; the
            best known model is this one or the leaderboard's.
    """
    items = [(name, fold) for name in data for fold in range(FOLDS)]
    scores = dict(zip(items, map(partial(_score, dict(data), seed), items), strict=True))
    found = []
    for name, formulas in data.items():
        task = TASKS.get(name)
        rivals = [errors.get(name), task.best if task else None]
        known = [error for error in rivals if error is not None]
        folds = [scores[name, fold] for fold in range(FOLDS)]
        found.append(summarise(name, formulas.target, folds, min(known, default=None)))
    return found


def _score(data: Mapping[str, Formulas], seed: int, item: tuple[str, int]) -> FoldScore:
    name, fold = item
    formulas = data[name]
    train, test = formulas.fold(fold)
    return score_fold(formulas.fractions, formulas.target, train, test, seed)


def of_run(run: Path, task: str) -> Formulas:
    """Reads the compositions of a run's data set from its shards.

    Raises:
        UsageError: the shards are missing or damaged.
    """
    folder = any_graphs_of(run, task, or_else=", or add --skip-screening")
    try:
        held = shards.load_contents(folder)
        found = fractions(held.z, held.multiplicity, held.crystal, len(held.target))
    except ValueError as error:
        raise UsageError(f"{task}: {error}") from None
    return Formulas(found, held.target, held.rows, held.total, folds_of(run, task, held.rows))


def of_file(spec: str) -> tuple[str, Formulas]:
    """Name and compositions of a file, `[NAME=]FILE[:TARGET]`, or of a MatBench task.

    Raises:
        UsageError: with file, line and what is wrong there.
    """
    data = resolve(spec, flag="--compositions")
    if data.quarantine:
        first = data.quarantine[0]
        bad = len(data.quarantine)
        left_out = f"{counted(bad, 'row')} {are(bad)} left out"
        print(
            f"--compositions {data.name}: {left_out}, first row {first['row']}: {first['reason']}"
        )
    try:
        found = fractions(data.z, data.fraction, data.owner, len(data))
    except ValueError as error:
        raise UsageError(f"--compositions {spec}: {error}") from None
    return data.name, Formulas(found, data.target, np.arange(len(data)), len(data))


def to_frame(screened: Iterable[Screened]) -> pd.DataFrame:
    """One row per data set, for `screening.csv`."""
    return pd.DataFrame(
        {
            "task": one.task,
            "crystals": one.crystals,
            "classes": one.classes,
            "error": one.error,
            "dummy": one.dummy,
            "best": one.best,
            "explained": one.explained,
            "covered": one.covered,
            "enters": one.enters,
        }
        for one in screened
    )
