"""Formulas as flat arrays of elements and fractions.

Legend: B compositions, M elements of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainables.crystals.folds import GivenFolds
from trainables.crystals.registry import official_folds
from trainables.crystals.split import VALIDATION_SHARE, Split, split_given, split_rows
from trainables.representation import Representation

# The representation of a formula for a network: its elements and their shares.
FORMULA = Representation(name="formula", version=1)


@dataclass(frozen=True, kw_only=True)
class Compositions:
    """B formulas with one target each, in the order of their file.

    Attributes:
        name: of the data set.
        ptr: [B+1] int64; composition b has the elements ptr[b]:ptr[b+1].
        z: [M] uint8, the most abundant first.
        fraction: [M] float64 share of the atoms; sums to 1 in a composition.
        target: [B] float64; 0 or 1 where `classes`.
        formulas: [B] str, reduced, so that equal compositions are equal strings.
        ids: [B] str.
        classes: whether the target is one of two classes.
        rows: [B] int64 positions in the file, ascending; gaps where formulas were quarantined.
        folds: of these formulas, as given by the user; None for the official ones of B rows.
        class_names: names of 0 and 1 in the file; None for numbers.
        quarantine: file, row, id and reason of each row that was left out.
        path: of the file.
    """

    name: str
    ptr: np.ndarray
    z: np.ndarray
    fraction: np.ndarray
    target: np.ndarray
    formulas: np.ndarray
    ids: np.ndarray
    classes: bool
    rows: np.ndarray
    folds: GivenFolds | None = None
    class_names: tuple[str, str] | None = None
    quarantine: Sequence[Mapping[str, object]] = ()
    path: Path | None = None

    def __len__(self) -> int:
        return len(self.target)

    @property
    def owner(self) -> np.ndarray:
        """[M] the composition to which an element belongs."""
        return np.repeat(np.arange(len(self)), np.diff(self.ptr))

    @property
    def elements(self) -> np.ndarray:
        """Atomic numbers that occur, ascending."""
        return np.unique(self.z)

    def test_rows(self, fold: int) -> np.ndarray:
        """The test part of a fold: given, or official, which is stratified for classes."""
        if self.folds is not None:
            return self.folds.test_rows(fold)
        classes = self.target.astype(bool).tolist() if self.classes else None
        folds = official_folds(None if self.classes else len(self), classes)
        return np.asarray(folds[fold][1])

    def split(self, fold: int, seed: int, held_share: float = VALIDATION_SHARE) -> Split:
        """The fold's test part, and a validation share of the rest, of each class alike."""
        classes = self.target if self.classes else None
        if self.folds is not None:
            return split_given(self.folds, fold, seed, held_share, classes)
        return split_rows(len(self), self.test_rows(fold), fold, seed, held_share, classes)
