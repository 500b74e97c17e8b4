"""Every crystal of a data set as CIF and POSCAR, read by us and by pymatgen: the same atoms?

    python scripts/compare_reading.py FILE[:COLUMN] ... [--every N]

Each crystal is written by pymatgen in four ways: CIF with all atoms; CIF with the asymmetric unit
and its operations; POSCAR with fractional and with Cartesian coordinates. The asymmetric unit is
read by us once more without its operations. Numbers have to be equal, coordinates to 1e-9 and cells
to 1e-12.
"""

from __future__ import annotations

import argparse
import re
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from pymatgen.core import Structure
from pymatgen.io.cif import CifParser, CifWriter
from pymatgen.io.vasp import Poscar

from trainables.crystals.crystal import BadCrystal, Crystal
from trainables.crystals.parsing import parse
from trainables.crystals.reading.cif import read_cif
from trainables.crystals.reading.poscar import read_poscar
from trainables.crystals.sources import open_source


def texts(crystal: Crystal) -> Iterator[tuple[str, str, str]]:
    """The texts of a crystal: way, format, text."""
    structure = Structure(crystal.lattice, crystal.numbers.tolist(), crystal.frac)
    yield "CIF, all atoms", "cif", str(CifWriter(structure))
    yield "CIF, operations", "cif", str(CifWriter(structure, symprec=0.01))
    yield "POSCAR", "poscar", Poscar(structure).get_str()
    yield "POSCAR, Cartesian", "poscar", Poscar(structure).get_str(direct=False)


def theirs(form: str, text: str) -> Structure:
    """The structure that pymatgen reads."""
    if form == "poscar":
        return Poscar.from_str(text, read_velocities=False).structure
    parser = CifParser.from_str(text, check_cif=False)
    (structure,) = parser.parse_structures(primitive=False)
    return structure


def same(crystal: Crystal, structure: Structure) -> bool:
    """Whether both have the same atoms in the same order."""
    return (
        crystal.numbers.tolist() == list(structure.atomic_numbers)
        and np.allclose(crystal.frac, structure.frac_coords, rtol=0, atol=1e-9)
        and np.allclose(crystal.lattice, structure.lattice.matrix, rtol=0, atol=1e-12)
    )


def expanded_alike(text: str, crystal: Crystal) -> str:
    """The result for a CIF that names its group and does not list the operations."""
    bare = re.sub(r"^  \d+  '.*'\n", "", text, flags=re.MULTILINE)
    try:
        found = read_cif(bare)
    except BadCrystal:
        return "refused"
    apart = found.frac[:, None] - crystal.frac[None]
    apart = np.abs(apart - np.round(apart)).max(axis=2) + (
        found.numbers[:, None] != crystal.numbers[None]
    )
    alike = len(found.numbers) == len(crystal.numbers) and apart.min(axis=1).max() < 2e-3
    return "alike" if alike else "DIFFERENT"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", metavar="FILE[:COLUMN]")
    parser.add_argument("--every", type=int, default=1, help="take one crystal of so many")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for file in options.files:
        path, _, column = file.partition(":")
        tally: Counter[str] = Counter()
        seconds = {"ours": 0.0, "pymatgen's": 0.0}
        entries = islice(open_source(Path(path), column or None).entries(), 0, None, options.every)
        for way, form, text in (one for entry in entries for one in texts(parse(entry))):
            start = time.perf_counter()
            structure = theirs(form, text)
            middle = time.perf_counter()
            crystal = (read_cif if form == "cif" else read_poscar)(text)
            seconds["ours"] += time.perf_counter() - middle
            seconds["pymatgen's"] += middle - start
            tally[f"{way}: {'alike' if same(crystal, structure) else 'DIFFERENT'}"] += 1
            if way == "CIF, operations":
                tally[f"CIF, name alone: {expanded_alike(text, crystal)}"] += 1
        told = ", ".join(f"{name} {count}" for name, count in sorted(tally.items()))
        took = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
        print(f"{Path(path).name}: {told}; {took}")


if __name__ == "__main__":
    main()
