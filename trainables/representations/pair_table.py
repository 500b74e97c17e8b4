"""Featurises slabs with potentials to graphs and profiles.

Legend: L points of the grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from trainables.crystals.crystal import Crystal, Entry
from trainables.crystals.potentials import Grid, Potential
from trainables.crystals.slab_cell import demand_slab
from trainables.representations.graph import CrystalGraph
from trainables.representations.pairs import ATOMS, BOTTOM, TOP, profile_column
from trainables.representations.planar_atoms import planar_atoms
from trainables.representations.row_table import RowTable, read_rows


def featurise_pairs(
    entries: Sequence[Entry], kind: CrystalGraph, grid: Grid, max_atoms: int
) -> RowTable:
    """Parses and checks slabs with potentials, and makes graphs and profiles.

    Args:
        entries: with the texts of potentials (`Potential.text`) as targets.
    """

    def read(text: str, crystal: Crystal) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        potential = Potential.read(text)
        demand_slab(crystal, potential.height)
        levels = potential.vacuum - potential.fermi
        return grid.profile(potential), levels, planar_atoms(crystal, grid)

    rows = read_rows(entries, kind, max_atoms, read, slabs=True)
    profiles = np.array([profile for profile, _, _ in rows.values]).reshape(-1, grid.points)
    vacuum = np.array([levels for _, levels, _ in rows.values]).reshape(-1, 2)
    atoms = np.array([one for _, _, one in rows.values], float).reshape(-1)
    return rows.table(
        profiles,
        profile_column(grid.points),
        {
            BOTTOM: pa.array(vacuum[:, 0]),
            TOP: pa.array(vacuum[:, 1]),
            ATOMS: pa.FixedSizeListArray.from_arrays(pa.array(atoms), grid.points),
        },
    )
