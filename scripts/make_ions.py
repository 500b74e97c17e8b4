"""Write the radius and the sign of each element's ion.

    python scripts/make_ions.py [--out FILE]

From pymatgen's data (mostly Shannon 1976, 10.1107/S0567739476001551). `radius` is the largest of
`Element.ionic_radii` in Å, empty where there is none, and `state` the oxidation state that it
belongs to. `sign` is that of the element's oxidation states; where both signs occur, that of the
state which most species of the ICSD have (`pymatgen.analysis.bond_valence`), or the first of
`Element.common_oxidation_states` where the ICSD has none. An element without oxidation states
counts as a cation.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

from pymatgen.analysis.bond_valence import PRIOR_PROB
from pymatgen.core import Element

OUT = Path(__file__).parents[1] / "analysis" / "substitution" / "data" / "ions.csv"


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    common = commonest_states()
    with open(out, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["symbol", "radius", "state", "sign"])
        for z in range(1, 119):
            element = Element.from_Z(z)
            radii = {state: float(radius) for state, radius in element.ionic_radii.items()}
            largest = max(radii, key=lambda state: (radii[state], -state), default="")
            radius = radii[largest] if radii else ""
            writer.writerow([element.symbol, radius, largest, sign_of(element, common)])


def commonest_states() -> dict[str, int]:
    """The oxidation state of each element that most species of the ICSD have; 0 left out."""
    shares: dict[str, dict[int, float]] = defaultdict(dict)
    for species, share in PRIOR_PROB.items():
        if species.oxi_state:
            shares[species.symbol][int(species.oxi_state)] = share
    return {symbol: max(states, key=states.__getitem__) for symbol, states in shares.items()}


def sign_of(element: Element, common: dict[str, int]) -> str:
    """`+` or `-`."""
    states = [state for state in element.common_oxidation_states or element.oxidation_states]
    signs = {state > 0 for state in states if state}
    if len(signs) == 1:
        return "+" if signs.pop() else "-"
    state = common.get(element.symbol) or next(iter(states), 1)
    return "+" if state > 0 else "-"


if __name__ == "__main__":
    main()
