"""What the files of ASE, the Atomic Simulation Environment, share: structures and values.

ASE's own readers are not called. Of ASE 3.29 that was checked: `ase.io.extxyz` makes an array of
the strings in a comment's `_JSON`, each as long as the longest, and one column after the other of
`Properties=pos:R:1000000000`, so that a small file fills the memory; `ase.io.ulm` and
`ase.io.jsonio` make arrays of any stated shape, and cells, band paths, Atoms and vibrations that
the JSON of a .traj or a .db names, and constraints by their names; `ase.db` opens a file for
writing, creates its tables if they are missing, and holds all rows at once. None of these unpickles
or evaluates anything. What is read here is plain JSON, numbers and text, so ASE is not needed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainables.crystals.crystal import BadCrystal
from trainables.crystals.sources.base import is_text
from trainables.crystals.symbols import symbol

# A hundred times what --max-atoms allows by default; its JSON just fits into what is parsed.
MOST_ATOMS = 100_000
# Results of a calculator in `ase.calculators.calculator.all_properties`, but for matrices.
RESULTS = (
    "energy", "free_energy", "energies", "charges", "magmom", "magmoms", "dipole", "stress",
    "polarization",
)  # fmt: skip


def demand_few(atoms: int) -> None:
    """Raises BadCrystal if there are more than `MOST_ATOMS`."""
    if atoms > MOST_ATOMS:
        raise BadCrystal(f"too many atoms: {atoms} of at most {MOST_ATOMS} in a file of ASE")


def structure_text(
    symbols: Sequence[str],
    positions: Sequence[Sequence[float]],
    cell: Sequence[Sequence[float]],
    periodic: Sequence[bool],
) -> str:
    """`structure_json` of a structure that has a cell.

    Raises:
        BadCrystal: all cell vectors are zero, which is how ASE says that there is no cell.
    """
    if not any(map(any, cell)):
        raise BadCrystal("no cell: the structure has no lattice vectors, so it is no crystal")
    return structure_json(symbols, positions, cell, periodic)


def structure_json(
    symbols: Sequence[str],
    positions: Sequence[Sequence[float]],
    cell: Sequence[Sequence[float]],
    periodic: Sequence[bool],
) -> str:
    """The JSON of pymatgen's Structure, with the numbers as they are given.

    `parsing` makes the fractional coordinates of Cartesian ones, as for all other JSON.

    Args:
        symbols: [N] of elements.
        positions: [N, 3] in Å.
        cell: [3, 3] rows a, b, c in Å.
        periodic: [3] along a, b, c.
    """
    sites = [
        {"species": [{"element": element, "occu": 1}], "xyz": place}
        for element, place in zip(symbols, positions, strict=True)
    ]
    return json.dumps({"lattice": {"matrix": cell, "pbc": periodic}, "sites": sites})


def cells_of(values: object) -> dict[str, str]:
    """The cells that the values of a JSON object make: text, numbers, flat lists of them."""
    if not isinstance(values, dict):
        return {}
    found = {key: _cell(value) for key, value in values.items() if is_text(key)}
    return {key: cell for key, cell in found.items() if cell is not None}


def _cell(value: object) -> str | None:
    if value is None:
        return ""
    if isinstance(value, str):
        return value if is_text(value) else None
    if isinstance(value, dict):  # an array of `ase.io.jsonio`: shape, type, flat list
        match value.get("__ndarray__"):
            case [[_], _, list(flat)]:
                return _cell(flat)
        return None
    if isinstance(value, list) and any(isinstance(one, list | dict) for one in value):
        return None
    return json.dumps(value)


def numbers_of(values: object, shape: tuple[int, ...], what: str) -> NDArray[np.float64]:
    """Numbers of a JSON list or an array, which may be NaN, in a shape where -1 is any length.

    Raises:
        BadCrystal: they are no numbers, or have another shape.
    """
    try:
        found = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise BadCrystal(f"broken structure: its {what} are no numbers") from None
    pairs = zip(found.shape, shape, strict=False)
    if found.ndim != len(shape) or any(want not in (-1, have) for have, want in pairs):
        raise BadCrystal(f"broken structure: its {what} have shape {found.shape}")
    return found


def symbols_of(numbers: Sequence[float]) -> list[str]:
    """Symbols of atomic numbers; what is none is shown as it is, for `parsing` to refuse."""
    return [symbol(int(one)) if float(one).is_integer() else str(one) for one in numbers]
