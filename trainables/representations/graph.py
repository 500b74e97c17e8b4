"""Crystal graphs of many crystals at once, as flat integer arrays.

Legend: B crystals, N nodes (atoms, or classes of atoms), E directed edges dst <- src.

Distances are integers in milli-ångström from here on: two neighbours at "the same" distance must
compare equal, or the quotient graph (`quotient.py`) could not merge them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.representation import Representation

PER_ANGSTROM = 1000
# Raised whenever the same crystal would get another graph: older shards are then made again.
FEATURISER_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class GraphKind(Representation):
    """Which neighbours become edges.

    Attributes:
        cutoff: in Å.
        max_neighbours: nearest neighbours kept per atom; None keeps all within the cutoff.
    """

    cutoff: float
    max_neighbours: int | None


@dataclass(frozen=True)
class Graphs:
    """Flat graphs of B crystals; a full graph has all weights 1, a quotient counts.

    Attributes:
        node_ptr: [B+1] int64, nodes of crystal b are node_ptr[b]:node_ptr[b+1].
        edge_ptr: [B+1] int64, likewise for edges.
        z: [N] uint8 atomic numbers.
        multiplicity: [N] int32 atoms that a node stands for.
        dst, src: [E] int32 node indices within the crystal, sorted by dst.
        distance: [E] int32 in 1e-3 Å.
        count: [E] int32 neighbours that an edge stands for, per atom of dst.
    """

    node_ptr: np.ndarray
    edge_ptr: np.ndarray
    z: np.ndarray
    multiplicity: np.ndarray
    dst: np.ndarray
    src: np.ndarray
    distance: np.ndarray
    count: np.ndarray

    def __len__(self) -> int:
        return len(self.node_ptr) - 1

    @property
    def edges(self) -> int:
        """Number of edges E."""
        return len(self.dst)

    @property
    def edge_crystal(self) -> np.ndarray:
        """[E] index of the crystal that an edge belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.edge_ptr))

    @property
    def node_crystal(self) -> np.ndarray:
        """[N] index of the crystal that a node belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.node_ptr))
