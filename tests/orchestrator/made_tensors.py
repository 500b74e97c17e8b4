"""Embedded crystals with tensors that their structures determine, as a Parquet file."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.orchestrator.small_grids import embedded
from trainables.crystals.crystal import Crystal
from trainables.crystals.parsing import parse
from trainables.tensors.voigt import piezo_matrix, stiffness_matrix

CRYSTALS = 60
COLUMNS = {"eps": "eps@dielectric", "stiff": "c@elastic", "piezo": "e@piezo"}


def moment(crystal: Crystal, rank: int) -> np.ndarray:
    """[3, …] Σ q_i w(r_ij) r̂ ⊗ … over atoms i and all neighbours j; it obeys the symmetry."""
    steps = np.array(list(product((-1, 0, 1), repeat=3)))
    apart = crystal.frac[None, :, None] + steps - crystal.frac[:, None, None]
    vectors = apart @ crystal.lattice  # atoms, neighbours, cells
    length = np.linalg.norm(vectors, axis=-1)
    weight = np.where(length > 0.1, np.exp(-(length**2) / 2), 0.0)
    weight *= (crystal.numbers / crystal.numbers.mean())[:, None, None]
    unit = vectors / np.maximum(length, 0.1)[..., None]
    found = weight
    for _ in range(rank):
        found = found[..., None] * unit.reshape(*unit.shape[:3], *[1] * (found.ndim - 3), 3)
    return np.asarray(found.sum(axis=(0, 1, 2)) / weight.sum())


def write_tensors(path: Path, crystals: int = CRYSTALS) -> Path:
    """A column of flat matrices for each kind of tensor, and one of numbers."""
    entries = embedded(crystals)
    made = [parse(entry) for entry in entries]
    mass = [float(one.numbers.mean()) for one in made]
    rows = list(zip(made, mass, strict=True))
    eps = [np.eye(3) * (2 + m / 20) + 6 * moment(one, 2) for one, m in rows]
    identity = np.einsum("ik,jl->ijkl", np.eye(3), np.eye(3))
    identity = (identity + identity.transpose(0, 1, 3, 2)) / 2
    stiff = [100 * moment(one, 4) + (20 + m) * identity for one, m in rows]
    weak = [piezo_matrix(3 * moment(one, 3)) for one, _ in rows]
    columns = {
        "structure": [entry.text for entry in entries],
        "eps": [one.ravel().tolist() for one in eps],
        "c": [stiffness_matrix(one).tolist() for one in stiff],
        "e": [one.ravel().tolist() for one in weak],
        "mass": mass,
    }
    pq.write_table(pa.table(columns), path)
    return path
