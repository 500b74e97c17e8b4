"""Neighbour lists in the published CGCNN's form, for it to train on without reading CIF files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.inputs import Choice, write_split
from trainables.crystals.parsing import parse, parse_target
from trainables.elements import descriptor
from trainables.models.backbones import BACKBONES
from trainables.representations.graph import PER_ANGSTROM, Graphs
from trainables.representations.neighbours import find_neighbours

PADDING = 9.0  # Å, as in the published code: radius + 1


def write_published(choice: Choice, folder: Path) -> None:
    """Writes `graphs.npz` with the neighbours [N, 12] of every atom that we find, and the split.

    It replaces CIF files where there is no pymatgen to read them, and gives both sides the same
    neighbours: the order of equal distances at the cut differs between them.
    """
    entries = list(choice.entries())
    crystals = [parse(entry) for entry in entries]
    kind = BACKBONES["cgcnn"].representation
    graphs = Graphs.full(find_neighbours(crystals, [kind]), kind)
    assert kind.max_neighbours is not None
    neighbours, distance = neighbour_table(graphs, kind.max_neighbours)
    ids = [entry.id for entry in entries]
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        folder / "graphs.npz",
        ids=np.array(ids),
        target=np.array([parse_target(entry) for entry in entries]),
        node_ptr=graphs.node_ptr,
        z=graphs.z,
        neighbours=neighbours,
        distance=distance,
        vectors=descriptor.load(),
    )
    write_split(ids, choice, folder)


def neighbour_table(graphs: Graphs, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours [N, most] within the crystal and their distances in Å, of full graphs.

    An atom with fewer neighbours is padded as the published code does: atom 0, far away.
    """
    nodes = len(graphs.z)
    owner = graphs.dst + graphs.node_ptr[:-1][graphs.edge_crystal]
    first = np.searchsorted(owner, np.arange(nodes))
    column = np.arange(len(owner)) - first[owner]
    neighbours = np.zeros((nodes, most), dtype=np.int64)
    distance = np.full((nodes, most), PADDING, dtype=np.float64)
    neighbours[owner, column] = graphs.src
    distance[owner, column] = graphs.distance / PER_ANGSTROM
    return neighbours, distance
