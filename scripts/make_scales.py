"""Write the one-dimensional scales of the literature that ours is compared with.

    python scripts/make_scales.py [--out FILE]

Needs ``mendeleev``. Columns: the atomic number; Pettifor's order (1984,
10.1016/0038-1098(84)90765-8); the modified Pettifor order of Glawe et al. (2016,
10.1088/1367-2630/18/9/093011); the Mendeleev number of Villars et al. (2004,
10.1016/j.jallcom.2003.08.060). Empty where a scale has no place.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from mendeleev.fetch import fetch_table

OUT = Path(__file__).parents[1] / "analysis" / "scale" / "data" / "scales.csv"
COLUMNS = {
    "atomic_number": "atomic number",
    "pettifor_number": "Pettifor",
    "glawe_number": "modified Pettifor",
    "mendeleev_number": "Mendeleev number",
}


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    elements = fetch_table("elements").sort_values("atomic_number")
    with open(out, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["symbol", *COLUMNS.values()])
        for _, row in elements.iterrows():
            numbers = (row[column] for column in COLUMNS)
            cells = ["" if number != number else int(number) for number in numbers]
            writer.writerow([row["symbol"], *cells])


if __name__ == "__main__":
    main()
