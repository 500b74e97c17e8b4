"""Write the table of covalent radii that tells atoms that are too close.

    python scripts/make_covalent_radii.py [--out FILE]

Needs ``mendeleev``. Single-bond radii of P. Pyykkö and M. Atsumi, Chem. Eur. J. 15, 186 (2009),
doi:10.1002/chem.200800987: the one consistent set that has all 118 elements.
"""

from __future__ import annotations

import argparse
from pathlib import Path

OUT = Path(__file__).parents[1] / "trainables" / "crystals" / "covalent_radii.csv"


def table() -> str:
    """Content of the file: element and radius in pm, in order of Z."""
    from mendeleev.fetch import fetch_table

    elements = fetch_table("elements").sort_values("atomic_number")
    columns = zip(elements["symbol"], elements["covalent_radius_pyykko"], strict=True)
    rows = [f"{symbol},{round(radius)}" for symbol, radius in columns]
    return "\n".join(["element,radius_pm", *rows]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=OUT)
    parser.parse_args().out.write_text(table())


if __name__ == "__main__":
    main()
