"""How much of a property the composition alone explains (thesis 3.2.3, fig. 3.8).

A random forest gets the shares of the elements in each crystal's formula and nothing of its
structure. If it predicts a task's property nearly as well as the best known model, the task depends
on the elements, and the element vectors of its models are worth comparing.

Shape letters: B crystals, Z elements 1 to `COLUMNS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

COLUMNS = 103  # H to Lr, as the thesis
TREES = 200
# Share of the way from the mean to the best model. On the leaderboard's own forests (with more
# features) it separates the thesis' five tasks (0.84 and above) from the other three (0.72 and
# below).
LEAST_COVERED = 0.75


@dataclass(frozen=True, kw_only=True)
class FoldScore:
    """One test fold: errors of the forest and of the mean; for two classes, 1 − ROC-AUC.

    Attributes:
        error, dummy: MAE in the target's unit, or 1 − ROC-AUC (the dummy's is 0.5).
        explained: R², or balanced accuracy of two classes.
    """

    error: float
    dummy: float
    explained: float


@dataclass(frozen=True, kw_only=True)
class Screened:
    """One task over its folds.

    Attributes:
        error, dummy, explained: means over the folds, see `FoldScore`.
        best: error of the best known model; None if there is none.
    """

    task: str
    crystals: int
    classes: bool
    error: float
    dummy: float
    explained: float
    best: float | None

    @property
    def covered(self) -> float | None:
        """Share of the way from the mean to the best model that composition alone covers."""
        if self.best is None or self.dummy <= self.best:
            return None
        return (self.dummy - self.error) / (self.dummy - self.best)

    @property
    def enters(self) -> bool:
        """Whether the task depends on composition; judged by R² if no other model is known."""
        measure = self.explained if self.covered is None else self.covered
        return measure >= LEAST_COVERED


def fractions(
    numbers: np.ndarray, atoms: np.ndarray, crystal: np.ndarray, crystals: int
) -> np.ndarray:
    """Shares of the elements [B, 103] from atomic numbers, atoms and crystal of each node.

    Raises:
        ValueError: an element beyond Lr.
    """
    if numbers.size and numbers.max() > COLUMNS:
        raise ValueError(f"element {numbers.max()} is beyond the {COLUMNS} that formulas have here")
    counts = np.zeros((crystals, COLUMNS))
    np.add.at(counts, (crystal, numbers.astype(np.int64) - 1), atoms)
    return counts / counts.sum(axis=1, keepdims=True)


def score_fold(
    fractions_bz: np.ndarray,
    target: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    seed: int = 0,
) -> FoldScore:
    """Fits the forest on one fold's training part and scores it on the test part.

    A target with two distinct values is treated as two classes.
    """
    from sklearn.ensemble import RandomForestRegressor  # here: a report only needs the rule
    from sklearn.metrics import r2_score

    if len(np.unique(target)) == 2:
        return _score_classes(fractions_bz, target == target.max(), train, test, seed)
    mean, scale = target[train].mean(), target[train].std() or 1.0
    forest = RandomForestRegressor(TREES, n_jobs=1, random_state=seed)
    forest.fit(fractions_bz[train], (target[train] - mean) / scale)
    predicted = forest.predict(fractions_bz[test]) * scale + mean
    return FoldScore(
        error=float(np.abs(predicted - target[test]).mean()),
        dummy=float(np.abs(mean - target[test]).mean()),
        explained=float(r2_score(target[test], predicted)),
    )


def _score_classes(
    fractions_bz: np.ndarray, positive: np.ndarray, train: np.ndarray, test: np.ndarray, seed: int
) -> FoldScore:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score

    forest = RandomForestClassifier(TREES, n_jobs=1, random_state=seed)
    odds = forest.fit(fractions_bz[train], positive[train]).predict_proba(fractions_bz[test])[:, 1]
    return FoldScore(
        error=1 - float(roc_auc_score(positive[test], odds)),
        dummy=0.5,
        explained=float(balanced_accuracy_score(positive[test], odds >= 0.5)),
    )


def summarise(
    task: str, target: np.ndarray, scores: Sequence[FoldScore], best: float | None
) -> Screened:
    """Means over the folds."""
    error, dummy, explained = (
        float(np.mean([getattr(score, name) for score in scores]))
        for name in ("error", "dummy", "explained")
    )
    return Screened(
        task=task,
        crystals=len(target),
        classes=len(np.unique(target)) == 2,
        error=error,
        dummy=dummy,
        explained=explained,
        best=best,
    )
