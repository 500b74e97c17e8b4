"""Densities of states of crystals with their graphs: what a network of them learns from.

Legend: B crystals, N nodes, L energies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trainables.crystals.densities import Window
from trainables.crystals.registry import FOLDS
from trainables.crystals.split import Split
from trainables.representations.columns import Column, Columns, Scope, ranges
from trainables.representations.dataset import (
    Dataset,
    composition_of,
    fingerprint_of,
    mean_over_atoms,
    taken,
)
from trainables.representations.graph import CrystalGraph
from trainables.representations.schema import from_table, joined

VOLUME, PEAK = "volume", "peak"


def density_column(points: int) -> Column:
    """The declaration of the densities of nodes, [N, points]."""
    return Column("target", Scope.NODE, "float64", (points,))


@dataclass(frozen=True)
class Densities:
    """B crystals with their densities of states.

    Attributes:
        data: graphs and ids; its targets [N, L] are the densities of nodes, the mean over the atoms
            that a node stands for, such that the mean over all atoms has the maximum 1. NaN at
            energies that the curve of the crystal does not reach.
        window: the energies.
        per_site: whether the file has densities of sites; else all nodes of a crystal have the
            same, which says nothing of an atom.
        volume: [B] Å³ per atom.
        peak: [B] the maximum of the crystal's broadened density, in the unit of the file.
    """

    data: Dataset[Columns]
    window: Window
    per_site: bool
    volume: np.ndarray
    peak: np.ndarray

    def __len__(self) -> int:
        return len(self.data)

    @cached_property
    def crystals(self) -> np.ndarray:
        """[B, L] densities of crystals: means over atoms; NaN where a curve does not reach."""
        return mean_over_atoms(self.data.graphs, self.data.target)

    @cached_property
    def composition(self) -> np.ndarray:
        """[B, 119] shares of the elements among the atoms, by atomic number."""
        return composition_of(self.data.graphs)

    def take(self, rows: np.ndarray) -> Densities:
        """The crystals at some positions."""
        chosen = taken(self.data, rows)
        return Densities(chosen, self.window, self.per_site, self.volume[rows], self.peak[rows])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all that training sees."""
        return fingerprint_of(self.data, repr((self.window, self.per_site)))


def fold_of(ids: np.ndarray) -> np.ndarray:
    """[B] the fold in which each crystal is tested: the SHA-256 of its id, modulo five."""
    return np.array([int(hashlib.sha256(one.encode()).hexdigest(), 16) % FOLDS for one in ids])


def fold_split(ids: np.ndarray, fold: int, seed: int, share: float = 1.0) -> Split:
    """A fold that holds nothing back.

    Args:
        share: of the crystals outside the test part, the first of a random order: a smaller part
            is contained in a larger one.
    """
    own_fold = fold_of(ids)
    rest = np.flatnonzero(own_fold != fold)
    order = np.random.default_rng([seed, fold]).permutation(rest)
    kept = order[: max(1, round(share * len(rest)))]
    return Split(np.sort(kept), rest[:0], np.flatnonzero(own_fold == fold))


def mean_spectrum(crystals: np.ndarray) -> np.ndarray:
    """[L] means over the crystals [B, L] whose curve reaches an energy; 0 where none does."""
    known = np.isfinite(crystals)
    total = np.where(known, crystals, 0.0).sum(axis=0)
    return np.asarray(total / np.maximum(known.sum(axis=0), 1))


def by_element(
    densities: Densities, rows: np.ndarray, nodes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean densities of the atoms of each element in some crystals.

    At each energy over the crystals whose computed curve reaches it, so that means of computed and
    of predicted densities are of the same atoms.

    Args:
        nodes: [N, L] of the crystals `rows`.

    Returns:
        Atomic numbers [Z] uint8, and densities [Z, L]; 0 where no curve reaches, and which of them
        are known, [Z, L].
    """
    graphs = densities.data.graphs
    places = ranges(graphs.node_ptr, rows)
    z, atoms = graphs.z[places], graphs.multiplicity[places]
    numbers, of = np.unique(z, return_inverse=True)
    known = np.isfinite(densities.data.targets_of(rows))
    total, count = np.zeros((2, len(numbers), nodes.shape[1]))
    np.add.at(total, of, np.where(known, nodes, 0.0) * atoms[:, None])
    np.add.at(count, of, known * atoms[:, None])
    return numbers, total / np.maximum(count, 1), count > 0


def join(
    contents: Sequence[bytes], kind: CrystalGraph, window: Window, *, per_site: bool, total: int
) -> Densities:
    """The crystals of several `RowTable`s of densities, in their order.

    Args:
        total: rows of the source.
    """
    table = joined(contents)
    return Densities(
        from_table(table, kind.columns, total, density_column(window.points)),
        window,
        per_site,
        table[VOLUME].to_numpy(),
        table[PEAK].to_numpy(),
    )
