"""The room that symmetry leaves to equivariant features, without any training.

Legend: B crystals, N orbits of atoms.

A site of high symmetry allows few features: a vector at a centre of inversion is zero, and so is
the deviator of a tensor at a site of cubic symmetry, whatever the network. Where most sites are
such, an equivariant network can hardly see more than an invariant one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from trainables.crystals.crystal import Entry
from trainables.representations.featurise import featurise
from trainables.representations.orbit_graph import OrbitGraph, OrbitGraphs, projectors
from trainables.representations.wigner import unpack

SITES = OrbitGraph(name="sites", version=1, cutoff=0.1, max_neighbours=None)  # no edges
BLOCK, MAX_ATOMS = 256, 1000


def site_graphs(entries: Iterable[Entry]) -> Iterator[tuple[OrbitGraphs, list[str], int]]:
    """Yields the orbits of some crystals at a time, their ids, and how many others were bad.

    Crystals of more than `MAX_ATOMS` atoms are bad too.
    """
    rest = iter(entries)
    while block := list(islice(rest, BLOCK)):
        made = featurise(block, [SITES], MAX_ATOMS)
        graphs = made.graphs[SITES.name]
        assert isinstance(graphs, OrbitGraphs)
        ids = [entry.id for entry, bad in zip(block, made.reasons, strict=True) if not bad]
        yield graphs, ids, len(block) - len(ids)


def allowed(site: np.ndarray) -> np.ndarray:
    """[N, 3] independent features of l = 1 (1o), 2 (2e) and 3 (3o) that the sites' groups allow.

    The trace of the projector: how often the representation holds the trivial one.

    Args:
        site: [N] uint64, as in `OrbitGraphs`.
    """
    traces = [np.trace(one, axis1=1, axis2=2) for one in unpack(projectors(site))]
    return np.rint(np.stack(traces, axis=1)).astype(np.int64)


def flat(graphs: OrbitGraphs) -> np.ndarray:
    """[B] bool: whether no orbit of a crystal allows l = 1 or l = 2."""
    room = (allowed(graphs.site)[:, :2] > 0).any(axis=1)
    return np.bincount(graphs.node_crystal, room, len(graphs)) == 0


@dataclass(frozen=True)
class Room:
    """Counts of some crystals.

    Attributes:
        crystals, orbits: how many there are.
        no_vector, no_deviator, neither: orbits without l = 1, without l = 2, without both.
        flat: crystals in which no orbit allows l = 1 or l = 2.
        kept: crystals without symmetry because none could be made exact.
    """

    crystals: int
    orbits: int
    no_vector: int
    no_deviator: int
    neither: int
    flat: int
    kept: int

    @classmethod
    def of(cls, graphs: OrbitGraphs) -> Room:
        """Counts orbits and crystals."""
        none = allowed(graphs.site)[:, :2] == 0
        neither = none.all(axis=1)
        return cls(
            crystals=len(graphs),
            orbits=graphs.nodes,
            no_vector=int(none[:, 0].sum()),
            no_deviator=int(none[:, 1].sum()),
            neither=int(neither.sum()),
            flat=int(flat(graphs).sum()),
            kept=int((graphs.symprec == 0).sum()),
        )
