"""A featurised data set, and its splits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from trainables.crystals.condition import WHOLE, Condition
from trainables.crystals.folds import GivenFolds
from trainables.crystals.split import InnerFold, Split, inner_split, split_fold, split_given
from trainables.representations.columns import Columns, ranges


class GraphStore(Protocol):
    """Graphs of B crystals that are stored outside memory, and can be read in any order."""

    @property
    def edges(self) -> int:
        """Number of edges of all crystals."""

    def in_order(self, parts: Sequence[np.ndarray]) -> Iterator[Columns]:
        """Yields the graphs of each part: positions [b] in 0 … B-1, distinct within a part."""


G = TypeVar("G", bound=Columns | GraphStore)


@dataclass(frozen=True)
class Dataset(Generic[G]):
    """B crystals in the order of their source.

    Attributes:
        graphs: in memory, or in a store.
        target: [B] float64, or of the shape and the scope that its `Column` declares.
        ids: [B] str.
        rows: [B] int64 positions in the source, ascending; gaps where crystals were quarantined.
        total: crystals in the source; with `rows`, it determines the official folds.
        withheld: [B] bool, crystals from which no model may learn; None for none.
        folds: of these crystals, as given by the user; None for the official ones.
        classes: [total] class of each crystal of the source, 0 or 1, by which the folds are
            stratified; None for targets that are no classes.
        target_ptr: [B+1] where the targets of each crystal start, if they belong to nodes.
    """

    graphs: G
    target: np.ndarray
    ids: np.ndarray
    rows: np.ndarray
    total: int
    withheld: np.ndarray | None = None
    folds: GivenFolds | None = None
    classes: np.ndarray | None = None
    target_ptr: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def places_of(self, rows: np.ndarray) -> np.ndarray:
        """Where in `target` those of some crystals are, one crystal after the other."""
        return rows if self.target_ptr is None else ranges(self.target_ptr, rows)

    def targets_of(self, rows: np.ndarray) -> np.ndarray:
        """The targets of some crystals: [rows, …], or flat if they belong to nodes."""
        return self.target[self.places_of(rows)]


def split_dataset(
    dataset: Dataset,
    fold: int,
    seed: int,
    condition: Condition = WHOLE,
    inner: InnerFold | None = None,
) -> Split:
    """The parts of a fold, the official one or the given one, under a condition.

    Args:
        inner: which part of what may be learned from under the condition is held back; None for a
            quarter of the fold.

    Raises:
        ValueError: the fold has not what the condition asks for; a few words.
    """
    own = None if dataset.classes is None else dataset.classes[dataset.rows]
    if dataset.folds is None:
        whole = split_fold(dataset.rows, dataset.total, fold, seed, dataset.classes)
    else:
        whole = split_given(dataset.folds, fold, seed, classes=own)
    whole = whole.without(dataset.withheld)
    if inner is None:
        return condition.of(whole, fold, seed, own)
    pool = condition.of(whole.undivided, fold, seed, own)
    groups = None if dataset.folds is None else dataset.folds.groups
    return inner_split(pool, inner, [seed, fold], own, groups)
