"""Write the elements' continuous properties.

    python scripts/make_properties.py [--out FILE]

Needs ``mendeleev``. Units and sources are listed in ``trainables/elements/properties.py``.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import re
from pathlib import Path

from make_descriptor import LIQUID_DENSITY, RANGES

from trainables.elements.descriptor import MAX_Z
from trainables.elements.properties import COLUMNS

OUT = Path(__file__).parents[1] / "trainables" / "elements" / "data" / "properties.csv"


def generate() -> str:
    """Text of the CSV: header and 118 rows; an unknown value is an empty cell."""
    from mendeleev.fetch import fetch_table

    elements = fetch_table("elements").set_index("atomic_number")
    ionization = fetch_table("ionizationenergies").query("ion_charge == 0")
    low, _ = RANGES["electron_affinity_eV"]
    first = ionization.set_index("atomic_number").ionization_energy
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["element", *COLUMNS])
    for z in range(1, MAX_Z + 1):
        e = elements.loc[z]
        beyond_core = re.findall(r"\d([spdf])(\d*)", e.electronic_configuration)
        density = LIQUID_DENSITY.get(e.symbol, e.density)
        found = {
            "mendeleev_number": e.mendeleev_number,
            "atomic_weight_u": e.atomic_weight,
            "electronegativity": e.en_pauling,
            "covalent_radius_pm": e.covalent_radius_pyykko,
            "ionization_energy_eV": first.get(z),
            # Helium's, below the range, is no measured one.
            "electron_affinity_eV": e.electron_affinity if e.electron_affinity >= low else None,
            "atomic_volume_cm3_mol": e.atomic_weight / density if density else None,
            "dipole_polarizability_au": e.dipole_polarizability,
            "atomization_enthalpy_kJ_mol": e.heat_of_formation,
            **{
                f"{letter}_electrons": sum(int(n or 1) for own, n in beyond_core if own == letter)
                for letter in "spdf"
            },
        }
        writer.writerow([e.symbol, *(_cell(found[name]) for name in COLUMNS)])
    return out.getvalue()


def _cell(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{float(value):.6g}"


def main() -> None:
    """Writes the CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="CSV to write")
    parser.parse_args().out.write_text(generate(), encoding="utf-8")


if __name__ == "__main__":
    main()
