"""Potentials of made slabs, and monolayers with them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from scipy.special import erf

from trainables.crystals.potentials import Potential

WELLS = ((-2.0, -20.0, 0.5), (2.0, -10.0, 0.5))  # place, eV, width
FERMI = -2.0


def made(
    points: int = 400, height: float = 25.0, shift: float = 0.0, step: float = 0.0
) -> np.ndarray:
    """[points] eV: two wells in the middle of the cell, the vacuum at 3 eV, and a step."""
    z = np.arange(points) / points * height
    apart = (z - shift) % height - height / 2
    wells = sum(depth * np.exp(-(((apart - at) / width) ** 2) / 2) for at, depth, width in WELLS)
    return np.asarray(wells + step * 0.5 * (1 + erf(apart)) + 3.0)


def potential(**settings: Any) -> Potential:
    """The same as a potential, of work function 5 eV without a step."""
    return Potential.of(made(**settings), height=settings.get("height", 25.0), fermi=FERMI)


def monolayer(height: float = 25.0, gap: float = 21.0, shift: float = 0.0) -> str:
    """JSON of NaCl whose atoms are all within `height - gap` Å along c, in the middle or off it."""
    thick, middle = (height - gap) / height, 0.5 + shift / height
    sites = [
        {"species": [{"element": "Na", "occu": 1}], "abc": [0, 0, middle - thick / 2]},
        {"species": [{"element": "Cl", "occu": 1}], "abc": [0.5, 0.5, middle + thick / 2]},
    ]
    return json.dumps(
        {"lattice": {"matrix": [[4, 0, 0], [0, 4, 0], [0.3, 0.2, height]]}, "sites": sites}
    )


def rows(count: int = 4, **also: Any) -> dict[str, list[Any]]:
    """Columns of a Parquet file of such monolayers; `also` is the same in all rows."""
    table: dict[str, list[Any]] = {
        "id": [f"m-{one}" for one in range(count)],
        "structure": [monolayer(shift=0.1 * one) for one in range(count)],
        "potential_ev": [made(shift=0.1 * one, step=0.2 * one).tolist() for one in range(count)],
        "fermi_ev": [FERMI] * count,
    }
    return table | {name: [value] * count for name, value in also.items()}
