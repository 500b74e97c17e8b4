"""Featurises crystals with curves to graphs and densities of their nodes.

Legend: L energies.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from trainables.crystals.crystal import BadCrystal, Crystal, Entry
from trainables.crystals.densities import Curve, Scaled, Window, scaled
from trainables.crystals.parsing import parse
from trainables.representations.densities import PEAK, VOLUME, density_column
from trainables.representations.featurise import featurise
from trainables.representations.graph import CrystalGraph
from trainables.representations.orbit_graph import node_of_atom
from trainables.representations.schema import to_table


@dataclass(frozen=True)
class DensityTable:
    """Crystals of some rows of a source, as a table that other processes can read.

    Attributes:
        reasons: per row, "" or why it is bad.
        content: an Arrow stream of the good rows.
    """

    reasons: list[str]
    content: bytes


def featurise_densities(
    entries: Sequence[Entry], kind: CrystalGraph, window: Window, max_atoms: int
) -> DensityTable:
    """Parses and checks crystals with curves, and makes graphs and densities of their nodes.

    Args:
        entries: with the texts of curves (`Curve.text`) as targets.
    """
    # its own targets are numbers and lists as text
    made = featurise([replace(entry, target=None) for entry in entries], [kind], max_atoms)
    reasons, graphs = list(made.reasons), made.graphs[kind.name]
    good = [place for place, reason in enumerate(reasons) if not reason]
    kept, targets, volumes, peaks = [], [], [], []
    for index, place in enumerate(good):
        crystal = parse(entries[place])
        atoms = len(crystal.numbers)
        try:
            found = scaled(Curve.read(entries[place].target or ""), window, atoms)
        except BadCrystal as bad:
            reasons[place] = str(bad)
            continue
        kept.append(index)
        targets.append(_of_nodes(found, crystal, kind))
        volumes.append(abs(float(np.linalg.det(crystal.lattice))) / atoms)
        peaks.append(found.peak)
    chosen = [entries[good[index]] for index in kept]
    table = to_table(
        [entry.id for entry in chosen],
        [entry.row for entry in chosen],
        np.concatenate([np.zeros((0, window.points)), *targets]),
        graphs.take(np.array(kept, np.int64)),
        density_column(window.points),
    )
    for name, values in ((VOLUME, volumes), (PEAK, peaks)):
        table = table.append_column(name, pa.array(values, pa.float64()))
    return DensityTable(reasons, _stream(table))


def _of_nodes(found: Scaled, crystal: Crystal, kind: CrystalGraph) -> np.ndarray:
    """[nodes, L] means over the atoms that each node of a crystal stands for."""
    node = np.arange(len(found.sites)) if kind.keeps_atoms else node_of_atom(crystal)
    totals = np.zeros((node.max() + 1, found.sites.shape[1]))
    np.add.at(totals, node, found.sites)
    return totals / np.bincount(node)[:, None]


def _stream(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()
