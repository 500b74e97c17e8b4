"""Graphs of neighbours at distances: of all atoms, and with atoms that look alike merged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from trainables.representations.columns import Columns
from trainables.representations.graph import CrystalGraph, Graphs, Neighbours
from trainables.representations.quotient import quotient


@dataclass(frozen=True, kw_only=True)
class QuotientGraph(CrystalGraph):
    """Quotients of the graphs of the nearest neighbours; see `quotient.py`."""

    columns: ClassVar[type[Columns]] = Graphs
    keeps_atoms: ClassVar[bool] = False

    def build(self, neighbours: Neighbours) -> Graphs:
        """See `CrystalGraph`."""
        return quotient(Graphs.full(neighbours, self))


@dataclass(frozen=True, kw_only=True)
class AtomGraph(CrystalGraph):
    """The graphs of which `QuotientGraph` makes the quotients: a node an atom."""

    columns: ClassVar[type[Columns]] = Graphs
    keeps_atoms: ClassVar[bool] = True

    def build(self, neighbours: Neighbours) -> Graphs:
        """See `CrystalGraph`."""
        return Graphs.full(neighbours, self)
