"""A small Parquet file of crystals with made densities of states."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.dos.flags import DosOptions
from orchestrator.dos.inputs import Input, open_curves, read_densities
from tests.orchestrator.without_ray import without_ray
from trainables.representations.densities import fold_of

ELEMENTS = ("Na", "K", "Rb", "Cs", "Li")
ANIONS = ("Cl", "Br", "F", "I")
ENERGIES = np.concatenate([np.linspace(-14, -2, 200), np.linspace(-1.9, 12, 120)])


def poscar(cation: str, anion: str, a: float) -> str:
    """A rock salt, in its primitive cell."""
    half = a / 2
    return (
        f"{cation}{anion}\n1.0\n0 {half} {half}\n{half} 0 {half}\n{half} {half} 0\n"
        f"{cation} {anion}\n1 1\ndirect\n0 0 0\n0.5 0.5 0.5\n"
    )


def peaks(places: Sequence[float], heights: Sequence[float]) -> np.ndarray:
    """A density of Gaussians of width 0.6 on `ENERGIES`."""
    apart = ENERGIES[:, None] - np.array(places)
    return np.exp(-((apart / 0.6) ** 2)) @ np.array(heights)


def rows(count: int = 40) -> dict[str, list[object]]:
    """Salts whose anion has a valence band, and whose cation a conduction band."""
    table: dict[str, list[object]] = {
        name: [] for name in ("material_id", "poscar", "energy_ev", "site_dos")
    }
    for one in range(count):
        cation, anion = ELEMENTS[one % 5], ANIONS[one // 5 % 4]
        a = 5.0 + 0.3 * (one % 5) + 0.25 * (one // 5 % 4) + 0.02 * (one // 20)
        valence = peaks([-3.0 - 0.5 * (one // 5 % 4), -0.2], [2.0, 0.5])
        conduction = peaks([3.0 + 0.6 * (one % 5)], [1.5])
        table["material_id"].append(f"salt-{one}")
        table["poscar"].append(poscar(cation, anion, a))
        table["energy_ev"].append(ENERGIES.tolist())
        table["site_dos"].append([*conduction, *valence])
    return table


def with_silver() -> dict[str, list[object]]:
    """These salts, and one of silver, whose id is of fold 0."""
    table = rows(41)
    table["material_id"][40] = next(
        name for name in map("silver-{}".format, range(99)) if fold_of(np.array([name]))[0] == 0
    )
    table["poscar"][40] = poscar("Ag", "Cl", 5.55)
    return table


def write_densities(path: Path, table: dict[str, list[object]] | None = None) -> Path:
    """Writes such a file."""
    pq.write_table(pa.table(rows() if table is None else table), path)
    return path


def read(options: DosOptions) -> Input:
    """What the job reads."""
    with without_ray():
        return read_densities(options, open_curves(options))
