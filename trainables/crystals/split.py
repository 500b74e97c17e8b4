"""The folds of a data set, and the validation rows held back in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from trainables.crystals.folds import LEARN, VALIDATE, GivenFolds
from trainables.crystals.registry import official_folds

VALIDATION_SHARE = 0.25


class InnerFold(NamedTuple):
    """One of several parts of a fold's training part: the one that a model holds back."""

    number: int
    of: int


@dataclass(frozen=True)
class Split:
    """Row indices [int64] of the three parts of one fold."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def without(self, withheld: np.ndarray | None) -> Split:
        """The split without withheld rows [bool] in the training and validation parts."""
        if withheld is None:
            return self
        train, validation = (rows[~withheld[rows]] for rows in (self.train, self.validation))
        return Split(train, validation, self.test)

    @property
    def learned(self) -> np.ndarray:
        """The rows outside the test part, ascending."""
        return np.union1d(self.train, self.validation)

    @property
    def undivided(self) -> Split:
        """The split that holds nothing back."""
        return Split(self.learned, self.validation[:0], self.test)

    @property
    def sizes(self) -> dict[str, int]:
        """n_train, n_val, n_test."""
        parts = {"train": self.train, "val": self.validation, "test": self.test}
        return {f"n_{name}": len(rows) for name, rows in parts.items()}


def split_fold(
    rows: np.ndarray, total: int, fold: int, seed: int, classes: np.ndarray | None = None
) -> Split:
    """Train 60 %, validation 20 %, test 20 % of a data set.

    The test part is the official MatBench fold (Dunn et al. 2020, doi:10.1038/s41524-020-00406-3)
    of all `total` crystals of the source, minus those that were quarantined, so the others stay in
    their leaderboard folds. A quarter of the rest validates, drawn with a seed that depends only on
    fold and seed, so that all models of one seed and fold see the same crystals.

    Args:
        rows: [B] positions in the source of the crystals present.
        classes: [total] of all crystals, for folds and validation parts with about the same share
            of each class.

    Returns:
        Positions in `rows`.
    """
    _, test_rows = official_folds(total, classes)[fold]
    test = np.flatnonzero(np.isin(rows, test_rows))
    own = None if classes is None else classes[rows]
    return split_rows(len(rows), test, fold, seed, classes=own)


def split_rows(
    count: int,
    test: np.ndarray,
    fold: int,
    seed: int,
    held_share: float = VALIDATION_SHARE,
    classes: np.ndarray | None = None,
) -> Split:
    """Divides the rows 0 … count-1 that are not in the test part, as in `split_fold`.

    Args:
        held_share: share that validates. A smaller part is contained in a larger one.
        classes: [count] applies the share to each class, as a part without one cannot be scored.
    """
    rest = np.setdiff1d(np.arange(count), test)
    return _held_back(rest, test, fold, seed, held_share, classes)


def split_given(
    folds: GivenFolds,
    fold: int,
    seed: int,
    held_share: float = VALIDATION_SHARE,
    classes: np.ndarray | None = None,
) -> Split:
    """A given fold; if it has no validation rows, whole groups are held back.

    Args:
        held_share, classes: as in `split_rows`; with groups the share is approximate.
    """
    test = folds.test_rows(fold)
    rest, validation = (np.flatnonzero(folds.parts[fold] == part) for part in (LEARN, VALIDATE))
    if len(validation):
        return Split(rest, validation, test)
    if folds.groups is None:
        return _held_back(rest, test, fold, seed, held_share, classes)
    own = None if classes is None else classes[rest]
    held = _whole_groups(folds.groups[rest], [seed, fold], held_share, own)
    return Split(rest[~held], rest[held], test)


def _held_back(
    rest: np.ndarray,
    test: np.ndarray,
    fold: int,
    seed: int,
    held_share: float,
    classes: np.ndarray | None,
) -> Split:
    shuffled = np.random.default_rng([seed, fold]).permutation(rest)
    if classes is None:
        validation = shuffled[: round(held_share * len(rest))]
    else:
        groups = [shuffled[classes[shuffled] == value] for value in np.unique(classes[rest])]
        held = [group[: max(1, round(held_share * len(group)))] for group in groups]
        validation = np.concatenate(held)
    train = np.setdiff1d(rest, validation)
    return Split(train, np.sort(validation), np.sort(test))


def _whole_groups(
    groups: np.ndarray, seed: list[int], held_share: float, classes: np.ndarray | None
) -> np.ndarray:
    """[b] bool: rows of groups drawn at random, each held back if that comes nearer to the share.

    Never all groups; at least one, the smallest, if there are two; and for each class the first
    drawn that has it.
    """
    known, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    wanted, count = held_share * len(groups), 0
    held = np.zeros(len(known), bool)
    order = np.random.default_rng(seed).permutation(len(known))
    for group in order:
        one_stays = held.sum() + 1 < len(known)
        if one_stays and abs(count + sizes[group] - wanted) < abs(count - wanted):
            held[group] = True
            count += sizes[group]
    if not held.any() and len(known) > 1:
        held[sizes.argmin()] = True
    for value in () if classes is None else np.unique(classes):
        having = np.isin(np.arange(len(known)), numbers[classes == value])
        if not (held & having).any() and len(known) - held.sum() > 1:
            held[next(group for group in order if having[group])] = True
    return np.asarray(held[numbers])


def inner_split(
    split: Split,
    inner: InnerFold,
    seed: list[int],
    classes: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> Split:
    """The fold with one of equal parts of its training and validation rows held back.

    The division depends on nothing but these rows and the arguments, so that each row is held back
    in exactly one of the inner folds.

    Args:
        classes: of all rows of the data set; each part has about the same share of each.
        groups: of all rows; a group lies in one part, so that the sizes are about equal.
    """
    rows, drawn = split.learned, np.random.default_rng([*seed, inner.of])
    own = np.zeros(len(rows), np.int64) if classes is None else classes[rows].astype(np.int64)
    part = np.empty(len(rows), np.int64)
    if groups is None:
        order = drawn.permutation(len(rows))
        order = order[np.argsort(own[order], kind="stable")]
        part[order] = np.arange(len(rows)) % inner.of
    else:
        part = _parts_of_groups(groups[rows], own, inner.of, drawn)
    return Split(rows[part != inner.number], rows[part == inner.number], split.test)


def _parts_of_groups(
    groups: np.ndarray, classes: np.ndarray, parts: int, drawn: np.random.Generator
) -> np.ndarray:
    """[b] part of each row: from the largest group to the smallest, each to the emptiest part.

    With classes, to the part with the least of the classes that the group has.
    """
    known, numbers = np.unique(groups, return_inverse=True)
    shares = np.zeros((len(known), classes.max() + 1))  # of each class that a group has
    np.add.at(shares, (numbers, classes), 1)
    sizes = shares.sum(axis=1)
    shares /= np.maximum(shares.sum(axis=0), 1)
    part_of, held = np.empty(len(known), np.int64), np.zeros((parts, shares.shape[1]))
    shuffled = drawn.permutation(len(known))
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        part_of[group] = (held @ shares[group]).argmin()
        held[part_of[group]] += shares[group]
    return part_of[numbers]
