"""The quotient graph as a representation: atoms that message passing cannot tell apart merge."""

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
