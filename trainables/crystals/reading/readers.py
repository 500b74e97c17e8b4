"""CIF and POSCAR through pymatgen, as their file says: no symmetrising, no primitive cell.

Imported by the child process alone: a text can make pymatgen take any time and any memory.

Shape letters: N atoms of one crystal.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from pymatgen.core import Structure
from pymatgen.io.cif import CifParser
from pymatgen.io.vasp import Poscar

from trainables.crystals.crystal import BadCrystal, one_line
from trainables.crystals.symbols import atomic_number

Atoms = tuple[list[int], list[list[float]], list[list[float]]]  # [N], fractional [N, 3], cell in Å


def read(form: str, text: str) -> Atoms:
    """Atomic numbers [N], fractional coordinates [N, 3] and cell [3, 3] in Å of a text.

    Args:
        form: `cif` or `poscar`.

    Raises:
        BadCrystal: the reason in one line.
        MemoryError: the text wants more than the process may have.
    """
    return _plain(_READERS[form](text))


def _read_cif(text: str) -> Structure:
    parser: Any = None  # its list of complaints is set up by another class method
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # check_cif compares the formula with the atoms, and only warns: time for nothing here.
            parser = CifParser.from_str(text, check_cif=False)
            structures = parser.parse_structures(primitive=False, on_error="ignore")
        except MemoryError:
            raise
        except Exception as error:  # pymatgen's readers raise whatever Python raised inside them
            detail = one_line(error)
            if "no structures" in detail:
                detail = _cif_complaint(parser.warnings) if parser is not None else ""
            raise BadCrystal(_cif_reason(detail)) from None
        _refuse_unknown_labels(parser)
    if len(structures) != 1:
        raise BadCrystal(f"ambiguous CIF: it holds {len(structures)} structures, one is wanted")
    if "implicit_hydrogens" in structures[0].site_properties:
        raise BadCrystal("missing atoms: the CIF has water or OH sites without their hydrogens")
    return structures[0]


def _cif_complaint(complaints: list[str]) -> str:
    for complaint in complaints:
        head, _, reason = complaint.partition("\n")
        if head.startswith("No structure parsed") and reason:
            return one_line(reason)
    return ""


def _cif_reason(detail: str) -> str:
    if "exceeded tolerance" in detail:
        return "partial occupancy or atoms too close: one site is filled to more than 1"
    if "NaN" in detail or "infinity" in detail:
        return "coordinates are not finite: the CIF holds NaN or infinity"
    if detail.startswith("'_"):
        return f"no structure: the CIF lacks {detail}"
    if "below threshold" in detail:
        return "cell too thin: the CIF's cell is thinner than an atom, or has zero volume"
    return f"no structure: broken or not a CIF ({detail})" if detail else "no structure: not a CIF"


def _refuse_unknown_labels(parser: Any) -> None:
    # pymatgen leaves out, without a word, an atom whose label it cannot read.
    for block in parser.as_dict().values():
        labels = block.get("_atom_site_type_symbol") or block.get("_atom_site_label") or []
        for label in [labels] if isinstance(labels, str) else labels:
            if not parser._parse_symbol(label):
                raise BadCrystal(f"unknown element: {label[:20]!r} in the CIF's atom list")


def _read_poscar(text: str) -> Structure:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            poscar = Poscar.from_str(text, read_velocities=False)
        except MemoryError:
            raise
        except Exception as error:  # pymatgen's readers raise whatever Python raised inside them
            raise BadCrystal(f"no structure: broken POSCAR, {one_line(error)}") from None
    if any("cannot be determined" in str(warning.message) for warning in caught):
        raise BadCrystal("unknown element: the POSCAR names no elements, add a line of symbols")
    return poscar.structure


def _plain(structure: Structure) -> Atoms:
    numbers = []
    for place, site in enumerate(structure):
        if len(site.species) != 1:
            raise BadCrystal(f"partial occupancy: site {place + 1} holds {site.species_string}")
        ((specie, occupancy),) = site.species.items()
        if abs(occupancy - 1) > 1e-6:
            raise BadCrystal(f"partial occupancy: site {place + 1} is filled to {occupancy:g}")
        numbers.append(atomic_number(specie.symbol))
    return numbers, structure.frac_coords.tolist(), structure.lattice.matrix.tolist()


_READERS: dict[str, Callable[[str], Structure]] = {"cif": _read_cif, "poscar": _read_poscar}
