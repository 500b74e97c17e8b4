"""Featurises crystals with curves to graphs and densities of their nodes.

Legend: L energies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from trainables.crystals.crystal import Crystal, Entry
from trainables.crystals.densities import Curve, Scaled, Window, scaled
from trainables.representations.densities import PEAK, VOLUME, density_column
from trainables.representations.graph import CrystalGraph
from trainables.representations.orbit_graph import node_of_atom
from trainables.representations.row_table import RowTable, read_rows


def featurise_densities(
    entries: Sequence[Entry], kind: CrystalGraph, window: Window, max_atoms: int
) -> RowTable:
    """Parses and checks crystals with curves, and makes graphs and densities of their nodes.

    Args:
        entries: with the texts of curves (`Curve.text`) as targets.
    """

    def read(text: str, crystal: Crystal) -> Scaled:
        return scaled(Curve.read(text), window, len(crystal.numbers))

    rows = read_rows(entries, kind, max_atoms, read)
    pairs = list(zip(rows.values, rows.crystals, strict=True))
    targets = [_of_nodes(found, crystal, kind) for found, crystal in pairs]
    volumes = [
        abs(float(np.linalg.det(crystal.lattice))) / len(crystal.numbers)
        for crystal in rows.crystals
    ]
    peaks = [found.peak for found in rows.values]
    return rows.table(
        np.concatenate([np.zeros((0, window.points)), *targets]),
        density_column(window.points),
        {VOLUME: pa.array(volumes, pa.float64()), PEAK: pa.array(peaks, pa.float64())},
    )


def _of_nodes(found: Scaled, crystal: Crystal, kind: CrystalGraph) -> np.ndarray:
    """[nodes, L] means over the atoms that each node of a crystal stands for."""
    node = np.arange(len(found.sites)) if kind.keeps_atoms else node_of_atom(crystal)
    totals = np.zeros((node.max() + 1, found.sites.shape[1]))
    np.add.at(totals, node, found.sites)
    return totals / np.bincount(node)[:, None]
