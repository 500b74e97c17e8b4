"""Write the elements' descriptor, and compare it with CGCNN's own.

    python scripts/make_descriptor.py [--out FILE] [--oracle cgcnn_atom_init.json]

Needs ``mendeleev``. The choice of sources is explained in ``trainables/elements/descriptor.py``.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainables.elements.descriptor import MAX_Z, WIDTH, WIDTHS, slices

OUT = Path(__file__).parents[1] / "trainables" / "elements" / "data" / "descriptor.csv"

RANGES = {
    "electronegativity": (0.5, 4.0),
    "covalent_radius_pm": (25.0, 250.0),
    "ln_ionization_energy_eV": (1.3, 3.3),
    "electron_affinity_eV": (-3.0, 3.7),
    "ln_atomic_volume_cm3_mol": (1.5, 4.3),
}

# A gas at 25 C has no atomic volume of its own kind, so its liquid stands in: density in g/cm3 at
# the normal boiling point, CRC Handbook of Chemistry and Physics, "Properties of cryogenic
# fluids" (Cl and Rn: its chapter "The elements").
LIQUID_DENSITY = {
    "H": 0.0708,
    "He": 0.1249,
    "N": 0.8061,
    "O": 1.1410,
    "F": 1.502,
    "Ne": 1.207,
    "Cl": 1.56,
    "Ar": 1.396,
    "Kr": 2.417,
    "Xe": 2.942,
    "Rn": 4.4,
}


@dataclass(frozen=True, kw_only=True)
class Properties:
    """Values of one element before binning; None where unknown."""

    symbol: str
    group: int
    period: int
    electronegativity: float | None
    covalent_radius_pm: float | None
    valence_electrons: int
    ionization_energy: float | None
    electron_affinity_eV: float | None
    block: str
    atomic_volume: float | None


def is_f_block(z: int) -> bool:
    """Whether Z is one of the fourteen f columns (La-Yb, Ac-No), so that Lu, Lr are group 3."""
    return 57 <= z <= 70 or 89 <= z <= 102


def read_properties() -> list[Properties]:
    """Values of Z = 1-118 from mendeleev, with NaN as None."""
    from mendeleev.econf import ElectronicConfiguration
    from mendeleev.fetch import fetch_table

    elements = fetch_table("elements").set_index("atomic_number")
    ionization = fetch_table("ionizationenergies").query("ion_charge == 0")
    first_ionization = ionization.set_index("atomic_number").ionization_energy

    def known(value: Any) -> float | None:
        return float(value) if value is not None and math.isfinite(value) else None

    found = []
    for z in range(1, MAX_Z + 1):
        e = elements.loc[z]
        f_block = is_f_block(z)
        block = "f" if f_block else ("d" if e.block == "f" else e.block)
        shells = ElectronicConfiguration(e.electronic_configuration).conf
        period = int(e.period)
        valence = shells.get((period, "s"), 0) + shells.get((period, "p"), 0)
        if block == "d":
            valence += shells.get((period - 1, "d"), 0)
        density = LIQUID_DENSITY.get(e.symbol, known(e.density))
        found.append(
            Properties(
                symbol=e.symbol,
                group=0 if f_block else int(known(e.group_id) or 3),
                period=period,
                electronegativity=known(e.en_pauling),
                covalent_radius_pm=known(e.covalent_radius_pyykko),
                valence_electrons=valence,
                ionization_energy=known(first_ionization.get(z)),
                electron_affinity_eV=known(e.electron_affinity),
                block=block,
                atomic_volume=e.atomic_weight / density if density else None,
            )
        )
    return found


def choose_bin(value: float | None, low: float, high: float, bins: int) -> int | None:
    """Index of the half-open bin that holds the value, None when unknown or outside the range."""
    if value is None or not math.isfinite(value):
        return None
    index = math.floor((value - low) / (high - low) * bins)
    return index if 0 <= index < bins else None


def choose_columns(p: Properties) -> dict[str, int | None]:
    """For each property the column to set, counted from the start of the property."""

    def binned(name: str, value: float | None) -> int | None:
        return choose_bin(value, *RANGES[name], WIDTHS[name])

    def log(value: float | None) -> float | None:
        return math.log(value) if value else None

    valence = p.valence_electrons - 1
    return {
        "group": p.group,
        "period": p.period - 1,
        "electronegativity": binned("electronegativity", p.electronegativity),
        "covalent_radius_pm": binned("covalent_radius_pm", p.covalent_radius_pm),
        "valence_electrons": valence if 0 <= valence < WIDTHS["valence_electrons"] else None,
        "ln_ionization_energy_eV": binned("ln_ionization_energy_eV", log(p.ionization_energy)),
        "electron_affinity_eV": binned("electron_affinity_eV", p.electron_affinity_eV),
        "block": "spdf".index(p.block),
        "ln_atomic_volume_cm3_mol": binned("ln_atomic_volume_cm3_mol", log(p.atomic_volume)),
    }


def name_columns() -> list[str]:
    """Names of the 92 columns, e.g. ``group_f``, ``valence_electrons_3``, ``block_p``."""
    names: list[str] = []
    for name, width in WIDTHS.items():
        if name in RANGES:
            low, high = RANGES[name]
            edges = [low + (high - low) * i / width for i in range(width + 1)]
            names += [f"{name}_{a:g}_{b:g}" for a, b in itertools.pairwise(edges)]
        elif name == "group":
            names += ["group_f", *(f"group_{i}" for i in range(1, width))]
        elif name == "block":
            names += [f"block_{letter}" for letter in "spdf"]
        else:
            names += [f"{name}_{i}" for i in range(1, width + 1)]
    return names


def generate() -> str:
    """Text of the CSV: header and 118 rows of 0/1."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["element", *name_columns()])
    starts = {name: part.start for name, part in slices().items()}
    for p in read_properties():
        row = [0] * WIDTH
        for name, column in choose_columns(p).items():
            if column is not None:
                row[starts[name] + column] = 1
        writer.writerow([p.symbol, *row])
    return out.getvalue()


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far a table equals the oracle, over the oracle's elements."""

    bits: float
    rows: float
    properties: dict[str, float]
    different: dict[str, list[int]]


def compare(table: np.ndarray, oracle: dict[str, list[int]]) -> Agreement:
    """Compare ``table [119, 92]`` with ``{"Z": [92 bits]}``; ``different`` lists Z by property."""
    numbers = sorted(int(z) for z in oracle)
    theirs = np.array([oracle[str(z)] for z in numbers])
    equal = table[numbers].astype(int) == theirs
    by_property = {name: equal[:, part].all(axis=1) for name, part in slices().items()}
    return Agreement(
        bits=float(equal.mean()),
        rows=float(equal.all(axis=1).mean()),
        properties={name: float(same.mean()) for name, same in by_property.items()},
        different={
            name: [z for z, ok in zip(numbers, same, strict=True) if not ok]
            for name, same in by_property.items()
        },
    )


def report(text: str, oracle_file: Path) -> str:
    """Lines that state the agreement of the CSV text with the oracle file."""
    rows = list(csv.reader(io.StringIO(text)))[1:]
    table = np.zeros((MAX_Z + 1, WIDTH), dtype=int)
    table[1:] = np.array([row[1:] for row in rows], dtype=int)
    symbols = ["", *(row[0] for row in rows)]
    found = compare(table, json.loads(oracle_file.read_text(encoding="utf-8")))
    lines = [f"equal bits {found.bits:.4%}, equal rows {found.rows:.1%}"]
    for name, share in found.properties.items():
        odd = " ".join(symbols[z] for z in found.different[name])
        lines.append(f"  {name:26s} {share:6.1%}  {odd}".rstrip())
    return "\n".join(lines)


def main() -> None:
    """Write the CSV and, with ``--oracle``, print the agreement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="CSV to write")
    parser.add_argument("--oracle", type=Path, help="CGCNN's atom_init.json to compare with")
    args = parser.parse_args()
    text = generate()
    args.out.write_text(text, encoding="utf-8")
    if args.oracle:
        print(report(text, args.oracle))


if __name__ == "__main__":
    main()
