"""Crystals of slabs with the profiles of their potentials: what the contrastive model learns from.

Legend: B crystals, L points of the grid.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import Literal

import numpy as np

from trainables.crystals.potentials import Grid
from trainables.crystals.split import Split
from trainables.crystals.symbols import SYMBOLS
from trainables.representations.columns import Column, Columns, Scope
from trainables.representations.dataset import Dataset, composition_of, fingerprint_of, taken
from trainables.representations.graph import CrystalGraph
from trainables.representations.schema import from_table, joined, values_of

Rule = Literal["formula", "random"]
BOTTOM, TOP, ATOMS = "vacuum_bottom", "vacuum_top", "atoms"
PARTS = 10  # of the materials, of which one tests and one validates
TRAIN_SHARE, HELD_SHARE = 0.8, 0.1  # of the rule "random", as published


def profile_column(points: int) -> Column:
    """The declaration of profiles, [B, points]."""
    return Column("target", Scope.CRYSTAL, "float64", (points,))


def atoms_column(points: int) -> Column:
    """The declaration of `planar_atoms`, [B, points]."""
    return Column(ATOMS, Scope.CRYSTAL, "float64", (points,))


@dataclass(frozen=True)
class Pairs:
    """B slabs with their potentials.

    Attributes:
        data: graphs and ids; its targets [B, L] are profiles in eV relative to the Fermi level.
        grid: their points.
        vacuum: [B, 2] eV above the Fermi level, below and above the slab.
        atoms: [B, L] as of `planar_atoms`; nothing learns from them.
    """

    data: Dataset[Columns]
    grid: Grid
    vacuum: np.ndarray
    atoms: np.ndarray

    def __len__(self) -> int:
        return len(self.data)

    @property
    def work_function(self) -> np.ndarray:
        """[B] eV, the mean of both vacuum levels."""
        return np.asarray(self.vacuum.mean(axis=1))

    @cached_property
    def composition(self) -> np.ndarray:
        """[B, 119] shares of the elements among the atoms, by atomic number."""
        return composition_of(self.data.graphs)

    @cached_property
    def formulas(self) -> list[str]:
        """[B] reduced formulas, symbols in alphabetical order."""
        graphs = self.data.graphs
        atoms: list[dict[int, int]] = [defaultdict(int) for _ in range(len(self))]
        owners, numbers = graphs.node_crystal.tolist(), graphs.z.tolist()
        for owner, z, count in zip(owners, numbers, graphs.multiplicity.tolist(), strict=True):
            atoms[owner][z] += count
        return [_formula(one) for one in atoms]

    def take(self, rows: np.ndarray) -> Pairs:
        """The materials at some positions."""
        return Pairs(taken(self.data, rows), self.grid, self.vacuum[rows], self.atoms[rows])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all that training sees."""
        vacuum = hashlib.sha256(np.ascontiguousarray(self.vacuum).tobytes()).hexdigest()
        return fingerprint_of(self.data, repr((self.grid, vacuum)))


def _formula(atoms: dict[int, int]) -> str:
    divisor = gcd(*atoms.values())
    parts = sorted((SYMBOLS[z], count // divisor) for z, count in atoms.items())
    return "".join(symbol + (str(count) if count > 1 else "") for symbol, count in parts)


def pair_split(pairs: Pairs, rule: Rule, seed: int, size: int | None = None) -> Split:
    """Which materials learn, validate and test.

    Args:
        rule: "formula": the SHA-256 of the reduced formula modulo ten; of 0 it tests, of 1 it
            validates, so that no formula is in two parts. "random": 80, 10 and 10 % of the
            permutation that torch draws from the seed, as published; formulas may be in two parts.
        size: materials that learn, the first of a random order: a smaller part is contained in a
            larger one. None, or more than there are, for all.
    """
    if rule == "random":
        order = _permutation(len(pairs), seed)
        ends = np.cumsum([int(TRAIN_SHARE * len(pairs)), int(HELD_SHARE * len(pairs))])
        train, validation, test = (np.sort(part) for part in np.split(order, ends))
    else:
        part = np.array([_part(formula) for formula in pairs.formulas], np.int64)
        test, validation = np.flatnonzero(part == 0), np.flatnonzero(part == 1)
        train = np.flatnonzero(part > 1)
    if size is not None and size < len(train):
        train = np.sort(train[_permutation(len(train), seed)[:size]])
    return Split(train, validation, test)


def _part(formula: str) -> int:
    return int(hashlib.sha256(formula.encode()).hexdigest(), 16) % PARTS


def _permutation(count: int, seed: int) -> np.ndarray:
    import torch  # here: planning needs no torch

    order: np.ndarray = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).numpy()
    return order


def join(contents: Sequence[bytes], kind: CrystalGraph, grid: Grid, total: int) -> Pairs:
    """The materials of several `pair_table`s, in their order.

    Args:
        total: rows of the source.
    """
    table = joined(contents)
    vacuum = np.stack([table[name].to_numpy() for name in (BOTTOM, TOP)], axis=1)
    data = from_table(table, kind.columns, total, profile_column(grid.points))
    return Pairs(data, grid, vacuum, values_of(table, atoms_column(grid.points)))
