"""Formulas as flat arrays of elements and fractions.

Legend: B compositions, M elements of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.crystals.registry import official_folds
from trainables.training.split import VALIDATION_SHARE, Split, split_rows


@dataclass(frozen=True, kw_only=True)
class Compositions:
    """B formulas with one target each, in the order of their file.

    Attributes:
        name: of the data set.
        ptr: [B+1] int64; composition b has the elements ptr[b]:ptr[b+1].
        z: [M] uint8, the most abundant first.
        fraction: [M] float64 share of the atoms; sums to 1 in a composition.
        target: [B] float64; 0 or 1 where `classes`.
        formulas: [B] str, reduced, as two equal compositions are equal strings.
        ids: [B] str.
        classes: whether the target is one of two classes.
    """

    name: str
    ptr: np.ndarray
    z: np.ndarray
    fraction: np.ndarray
    target: np.ndarray
    formulas: np.ndarray
    ids: np.ndarray
    classes: bool

    def __len__(self) -> int:
        return len(self.target)

    @property
    def owner(self) -> np.ndarray:
        """[M] which composition an element belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.ptr))

    @property
    def elements(self) -> np.ndarray:
        """Atomic numbers that occur, ascending."""
        return np.unique(self.z)

    def test_rows(self, fold: int) -> np.ndarray:
        """The test part of an official fold: stratified where the target is a class."""
        classes = self.target.astype(bool).tolist() if self.classes else None
        folds = official_folds(None if self.classes else len(self), classes)
        return np.asarray(folds[fold][1])

    def split(self, fold: int, seed: int, held_share: float = VALIDATION_SHARE) -> Split:
        """The official fold for the test; of the rest, class by class, a share validates."""
        classes = self.target if self.classes else None
        return split_rows(len(self), self.test_rows(fold), fold, seed, held_share, classes)
