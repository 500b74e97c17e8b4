"""Write three crystals as other programs do, for tests/crystals/test_source_records.py.

pip install jarvis-tools==2026.6.12 "optimade[pymatgen]==1.5.0" pymatgen==2026.10.24 ase==3.29.0
python scripts/make_foreign_files.py tests/crystals/files
"""

# mypy: ignore-errors

from __future__ import annotations

import json
import sys
from pathlib import Path

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.db import connect
from ase.io import write
from jarvis.core.atoms import pmg_to_atoms
from jarvis.db.jsonutils import dumpjson
from monty.serialization import dumpfn
from optimade.adapters.structures.pymatgen import from_pymatgen
from pymatgen.core import Lattice, Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry
from pymatgen.io.ase import AseAtomsAdaptor

GAPS = (8.5, 3.2, 0.0)
META = {"query": {"representation": "/structures"}, "api_version": "1.2.0"}


def crystals() -> list[Structure]:
    """NaCl in its primitive cell, SrTiO3, Zn."""
    return [
        Structure.from_spacegroup(
            "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
        ).get_primitive_structure(),
        Structure.from_spacegroup(
            "Pm-3m",
            Lattice.cubic(3.905),
            ["Sr", "Ti", "O"],
            [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0]],
        ),
        Structure.from_spacegroup(
            "P6_3/mmc", Lattice.hexagonal(3.23, 5.17), ["Zn"], [[1 / 3, 2 / 3, 1 / 4]]
        ),
    ]


def of_jarvis(row: int, one: Structure) -> dict:
    """A row as those of the JARVIS databases, in which `na` stands for what is missing."""
    return {
        "jid": f"JVASP-{row}",
        "formula": one.composition.reduced_formula,
        "optb88vdw_bandgap": GAPS[row],
        "mbj_bandgap": "na" if row else 8.6,
        "atoms": pmg_to_atoms(one).to_dict(),
    }


def of_optimade(row: int, one: Structure) -> dict:
    """A structure of an OPTIMADE response."""
    attributes = from_pymatgen(one).model_dump(mode="json")
    known = {name: value for name, value in attributes.items() if value is not None}
    return {
        "id": f"odb-{row}",
        "type": "structures",
        "attributes": {**known, "_odb_gap": GAPS[row]},
    }


def of_ase(row: int, one: Structure) -> Atoms:
    """A structure with all that a file of ASE may say of it."""
    atoms = AseAtomsAdaptor.get_atoms(one, msonable=False)
    atoms.calc = SinglePointCalculator(
        atoms, energy=-3.5 * len(atoms), forces=atoms.positions * 0, magmoms=[0.5] * len(atoms)
    )
    atoms.info = {
        "id": f"ase-{row}", "gap": GAPS[row], "metal": row == 2, "dos": [1, 2.5, row],
        "label": 'of "rock salt"',
    }  # fmt: skip
    atoms.set_constraint(FixAtoms([0]))
    return atoms


def write_ase(folder: Path, made: list[Structure]) -> None:
    """The three kinds of files of ASE."""
    frames = [of_ase(*pair) for pair in enumerate(made)]
    write(folder / "ase.extxyz", frames)
    write(folder / "ase.traj", frames)
    with connect(folder / "ase.db", create_indices=False, append=False) as database:
        for atoms in frames:
            pairs = {name: atoms.info[name] for name in ("gap", "metal", "label")}
            database.write(atoms, key_value_pairs=pairs, data={"dos": [1, 2.5]})


def main() -> None:
    """Writes the files."""
    folder, made = Path(sys.argv[1]), crystals()
    dumpfn(made, folder / "pymatgen-structures.json")
    entries = [
        ComputedStructureEntry(
            one,
            -3.5 * len(one),
            parameters={"run_type": "GGA"},
            data={"gap": GAPS[row]},
            entry_id=f"mp-{row}",
        )
        for row, one in enumerate(made)
    ]
    dumpfn(entries, folder / "computed-entries.json")
    dumpjson([of_jarvis(*pair) for pair in enumerate(made)], str(folder / "jarvis.json"))
    response = {"links": {"next": None}, "meta": META}
    response["data"] = [of_optimade(*pair) for pair in enumerate(made)]
    (folder / "optimade.json").write_text(json.dumps(response))
    write_ase(folder, made)


if __name__ == "__main__":
    main()
