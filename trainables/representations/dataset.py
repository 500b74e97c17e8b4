"""A featurised data set, and its splits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from trainables.crystals.condition import WHOLE, Condition
from trainables.crystals.folds import GivenFolds
from trainables.crystals.split import InnerFold, Split, inner_split, split_fold, split_given
from trainables.crystals.symbols import MAX_Z
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
        elements: [B, 119] bool, by atomic number the elements of each crystal; None where graphs in
            memory say that, or no elements are held out.
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
    elements: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def places_of(self, rows: np.ndarray) -> np.ndarray:
        """Where in `target` those of some crystals are, one crystal after the other."""
        return rows if self.target_ptr is None else ranges(self.target_ptr, rows)

    def targets_of(self, rows: np.ndarray) -> np.ndarray:
        """The targets of some crystals: [rows, …], or flat if they belong to nodes."""
        return self.target[self.places_of(rows)]

    def having(self, numbers: Sequence[int]) -> np.ndarray:
        """[B] bool: the crystals that have one of these elements.

        Raises:
            TypeError: the graphs are in a store, and `elements` is None.
        """
        known = self.elements
        if known is None:
            if not isinstance(self.graphs, Columns):
                raise TypeError("the elements of crystals in a store have to be given")
            known = element_matrix(self.graphs.z, self.graphs.node_crystal, len(self))
        return np.asarray(known[:, list(numbers)].any(axis=1))


def taken(dataset: Dataset[Columns], rows: np.ndarray) -> Dataset[Columns]:
    """The crystals at some positions, of a data set in memory without folds of its own."""
    graphs = dataset.graphs.take(rows)
    return Dataset(
        graphs,
        dataset.targets_of(rows),
        dataset.ids[rows],
        dataset.rows[rows],
        dataset.total,
        target_ptr=None if dataset.target_ptr is None else graphs.node_ptr,
    )


def fingerprint_of(dataset: Dataset[Columns], settings: str) -> str:
    """SHA-256 (hex) of ids, targets and graphs, and of how they were made."""
    digest = hashlib.sha256(settings.encode())
    digest.update("\0".join(dataset.ids).encode())
    digest.update(np.ascontiguousarray(dataset.target).tobytes())
    for name in sorted(vars(dataset.graphs)):
        digest.update(np.ascontiguousarray(getattr(dataset.graphs, name)).tobytes())
    return digest.hexdigest()


def mean_over_atoms(graphs: Columns, values: np.ndarray) -> np.ndarray:
    """[B, …] means of values of nodes [N, …], each counted as often as atoms it stands for."""
    weights = graphs.multiplicity.reshape(-1, *[1] * (values.ndim - 1))
    totals = np.add.reduceat(values * weights, graphs.node_ptr[:-1], axis=0)
    atoms = np.add.reduceat(graphs.multiplicity, graphs.node_ptr[:-1])
    return np.asarray(totals / atoms.reshape(-1, *[1] * (values.ndim - 1)))


def composition_of(graphs: Columns) -> np.ndarray:
    """[B, 119] shares of the elements among the atoms, by atomic number."""
    return mean_over_atoms(graphs, np.eye(MAX_Z + 1)[graphs.z])


def element_matrix(z: np.ndarray, crystal: np.ndarray, crystals: int) -> np.ndarray:
    """[B, 119] bool, as of `Dataset`, by atomic number and crystal of each node."""
    found = np.zeros((crystals, MAX_Z + 1), bool)
    found[crystal, z] = True
    return found


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
    return under(dataset, whole_fold(dataset, fold, seed), fold, seed, condition, inner)


def whole_fold(dataset: Dataset, fold: int, seed: int) -> Split:
    """The parts of a fold, the official one or the given one."""
    if dataset.folds is None:
        whole = split_fold(dataset.rows, dataset.total, fold, seed, dataset.classes)
    else:
        whole = split_given(dataset.folds, fold, seed, classes=_own_classes(dataset))
    return whole.without(dataset.withheld)


def under(
    dataset: Dataset,
    whole: Split,
    fold: int,
    seed: int,
    condition: Condition,
    inner: InnerFold | None = None,
) -> Split:
    """A `whole_fold` under a condition; the rest is as of `split_dataset`."""
    own = _own_classes(dataset)
    having = dataset.having(condition.numbers) if condition.numbers else None
    if inner is None:
        return condition.of(whole, fold, seed, own, having)
    pool = condition.of(whole.undivided, fold, seed, own, having)
    groups = None if dataset.folds is None else dataset.folds.groups
    return inner_split(pool, inner, [seed, fold], own, groups)


def _own_classes(dataset: Dataset) -> np.ndarray | None:
    return None if dataset.classes is None else dataset.classes[dataset.rows]
