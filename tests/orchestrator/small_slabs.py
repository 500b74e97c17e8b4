"""Some generated slabs with their potentials, and what the job `contrast` makes of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.contrast.flags import ContrastJobOptions, parse
from orchestrator.contrast.inputs import Input, open_source_of, read_pairs
from tests.orchestrator.without_ray import without_ray
from trainables.crystals.potentials import Potential
from trainables.crystals.slabs import GeneratedSlabs
from trainables.crystals.split import Split

MATERIALS = 60
SMALL = (
    "--data", "generated", "--materials", str(MATERIALS), "--points", "64", "--width", "8",
    "--split", "random", "--members", "2", "--epochs", "2",
)  # fmt: skip


def asked(*flags: str) -> ContrastJobOptions:
    """A small job; later flags win."""
    return parse([*SMALL, *flags])


def read(options: ContrastJobOptions) -> Input:
    """What the job reads."""
    with without_ray():
        return read_pairs(options, open_source_of(options))


@cache
def given() -> Input:
    """The materials of a small job."""
    return read(asked())


def table_of_slabs() -> dict[str, list[Any]]:
    """The same slabs as columns of a file."""
    table: dict[str, list[Any]] = {
        name: [] for name in ("id", "structure", "potential_ev", "fermi_ev", "vacuum_ev")
    }
    for entry in GeneratedSlabs(MATERIALS).entries():
        potential = Potential.read(entry.target or "")
        table["id"].append(entry.id)
        table["structure"].append(entry.text)
        table["potential_ev"].append(potential.potential.tolist())
        table["fermi_ev"].append(potential.fermi)
        table["vacuum_ev"].append(potential.vacuum.tolist())
    return table


def write_slabs(path: Path, table: dict[str, list[Any]], *names: str) -> Path:
    """Writes some of its columns, or all."""
    pq.write_table(pa.table({name: table[name] for name in names or table}), path)
    return path


def made_up(split: Split, seed: int = 0, noise: float = 0.0) -> dict[str, np.ndarray]:
    """Arrays of a contrastive model to which each material is a direction of its own.

    Args:
        noise: between crystal and profile; 0 where partners are the same vector.
    """
    draw = np.random.default_rng(seed)
    crystal, other, before = draw.normal(size=(3, MATERIALS, 5))
    vectors = {
        "embeddings/crystal": crystal,
        "embeddings/profile": crystal + noise * other,
        "features/crystal": crystal,
    }
    vectors |= {f"untrained/{name}": before + 0 * one for name, one in vectors.items()}
    unit = {name: one / np.linalg.norm(one, axis=1, keepdims=True) for name, one in vectors.items()}
    parts = {f"split/{name}": getattr(split, name) for name in ("train", "validation", "test")}
    return unit | parts
