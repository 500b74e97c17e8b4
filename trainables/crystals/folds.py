"""Folds given by the user that replace the official ones: by groups, or row by row.

Legend: F folds, B rows (crystals, or formulas).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trainables.crystals.registry import FOLD_SEED, FOLDS

LEARN, VALIDATE, TEST, UNUSED = range(4)
PARTS = {"train": LEARN, "validation": VALIDATE, "test": TEST}
LARGEST_SHARE = 0.5  # of all rows in one group; with more, a fold could not learn from the rest


class FoldError(ValueError):
    """Rows that cannot be divided in the given way; one line."""


@dataclass(frozen=True, kw_only=True)
class GivenFolds:
    """The part of each row in each fold.

    Attributes:
        parts: [F, B] int8. Of a fold's LEARN rows, a share validates, unless it has VALIDATE rows
            of its own; an UNUSED row is in no part of it.
        groups: [B] int64; rows with the same number stay together. None: each row by itself.
    """

    parts: np.ndarray
    groups: np.ndarray | None = None

    def digest(self) -> str:
        """SHA-256 (hex, 16 digits) of parts and groups."""
        found = hashlib.sha256(np.ascontiguousarray(self.parts, np.int8).tobytes())
        if self.groups is not None:
            found.update(np.ascontiguousarray(self.groups, np.int64).tobytes())
        return found.hexdigest()[:16]

    def test_rows(self, fold: int) -> np.ndarray:
        """Rows of a fold's test part, ascending."""
        return np.flatnonzero(self.parts[fold] == TEST)


def folds_of_groups(names: Sequence[str] | np.ndarray) -> GivenFolds:
    """Five folds of whole groups with similar numbers of rows; the same for the same names.

    From the largest group to the smallest, each is tested in the fold with the fewest rows so far;
    groups of equal size come in a fixed random order.

    Args:
        names: [B] of the groups.

    Raises:
        FoldError: fewer groups than folds, or one that is more than half of all rows.
    """
    known, groups, sizes = np.unique(
        np.asarray(names, str), return_inverse=True, return_counts=True
    )
    if len(known) < FOLDS:
        raise FoldError(f"{len(known)} groups; {FOLDS} folds need at least {FOLDS}")
    largest = int(sizes.argmax())
    if sizes[largest] > LARGEST_SHARE * len(groups):
        share = 100 * sizes[largest] / len(groups)
        raise FoldError(
            f"group {str(known[largest])[:60]!r} has {sizes[largest]} of {len(groups)} rows"
            f" ({share:.0f} %), far more than a fold; divide it"
        )
    shuffled = np.random.default_rng(FOLD_SEED).permutation(len(known))
    fold_of, counts = np.empty(len(known), np.int64), np.zeros(FOLDS, np.int64)
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        fold_of[group] = counts.argmin()
        counts[fold_of[group]] += sizes[group]
    tested = fold_of[groups] == np.arange(FOLDS)[:, None]
    return GivenFolds(parts=np.where(tested, TEST, LEARN).astype(np.int8), groups=groups)


def folds_of_hashes(names: Sequence[str] | np.ndarray) -> GivenFolds:
    """Five folds of whole groups, each by its name alone: SHA-256 mod 5.

    So a group is tested in the same fold whatever else is in a data set, and in all data sets. The
    sizes of folds differ by chance.

    Args:
        names: [B] of the groups.

    Raises:
        FoldError: a fold would have nothing to test, or nothing to learn from.
    """
    known, groups = np.unique(np.asarray(names, str), return_inverse=True)
    digests = [hashlib.sha256(name.encode()).digest() for name in known.tolist()]
    fold_of = np.array([int.from_bytes(digest) % FOLDS for digest in digests])
    tested = fold_of[groups] == np.arange(FOLDS)[:, None]
    if not tested.any(axis=1).all() or (tested.mean(axis=1) > LARGEST_SHARE).any():
        sizes = ", ".join(map(str, tested.sum(axis=1)))
        raise FoldError(f"the hashes of {len(known)} groups make folds of {sizes} rows; use others")
    return GivenFolds(parts=np.where(tested, TEST, LEARN).astype(np.int8), groups=groups)


def folds_of_rows(tested: Sequence[int] | np.ndarray) -> GivenFolds:
    """Folds that each test some rows and learn from all others.

    Args:
        tested: [B] the fold that tests a row.
    """
    own = np.asarray(tested) == np.arange(FOLDS)[:, None]
    return GivenFolds(parts=np.where(own, TEST, LEARN).astype(np.int8))


def folds_of_parts(given: Sequence[Mapping[int, int]]) -> GivenFolds:
    """Folds with every part given.

    Args:
        given: [B] for each row, fold -> part; missing folds do not use the row.
    """
    parts = np.full((FOLDS, len(given)), UNUSED, np.int8)
    for row, by_fold in enumerate(given):
        for fold, part in by_fold.items():
            parts[fold, row] = part
    return GivenFolds(parts=parts)
