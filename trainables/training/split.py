"""Official folds, and what is held back inside one for validation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.crystals.registry import official_folds

VALIDATION_SHARE = 0.25


@dataclass(frozen=True)
class Split:
    """Row indices [int64] of the three parts of one fold."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def without(self, withheld: np.ndarray | None) -> Split:
        """The same, but that nothing is learned from rows that are withheld [bool]."""
        if withheld is None:
            return self
        train, validation = (rows[~withheld[rows]] for rows in (self.train, self.validation))
        return Split(train, validation, self.test)

    @property
    def sizes(self) -> dict[str, int]:
        """n_train, n_val, n_test."""
        parts = {"train": self.train, "val": self.validation, "test": self.test}
        return {f"n_{name}": len(rows) for name, rows in parts.items()}


def split_fold(rows: np.ndarray, total: int, fold: int, seed: int) -> Split:
    """Train 60 %, validation 20 %, test 20 % of a data set.

    The test part is the official MatBench fold (Dunn et al. 2020, doi:10.1038/s41524-020-00406-3)
    of all `total` crystals of the source; those that were quarantined are then left out, so the
    others stay in the fold that the leaderboard has them in. A quarter of the rest validates,
    drawn by a seed of its own, so that models of one seed and fold see the same crystals whatever
    else differs.

    Args:
        rows: [B] positions in the source of the crystals that there are.

    Returns:
        Positions in `rows`.
    """
    _, test_rows = official_folds(total)[fold]
    return split_rows(len(rows), np.flatnonzero(np.isin(rows, test_rows)), fold, seed)


def split_rows(
    count: int,
    test: np.ndarray,
    fold: int,
    seed: int,
    held_share: float = VALIDATION_SHARE,
    classes: np.ndarray | None = None,
) -> Split:
    """The rows 0 … count-1 that are not for the test, divided as `split_fold` says.

    Args:
        held_share: of them validates. A smaller part lies within a larger one.
        classes: [count] that share is of each class, for a part that lacks one cannot be scored.
    """
    rest = np.setdiff1d(np.arange(count), test)
    shuffled = np.random.default_rng([seed, fold]).permutation(rest)
    if classes is None:
        validation = shuffled[: round(held_share * len(rest))]
    else:
        groups = [shuffled[classes[shuffled] == value] for value in np.unique(classes[rest])]
        held = [group[: max(1, round(held_share * len(group)))] for group in groups]
        validation = np.concatenate(held)
    train = np.setdiff1d(rest, validation)
    return Split(train, np.sort(validation), np.sort(test))
