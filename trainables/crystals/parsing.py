"""From one raw row to a crystal and a number; whatever is wrong comes out as BadCrystal.

JSON is read by hand: no class named in it is ever looked up or imported, so a hostile file is
only data. CIF and POSCAR are read in a process with limits of time and memory.

Shape letters: N atoms of one crystal.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from trainables.crystals.crystal import BadCrystal, Crystal, Entry, one_line
from trainables.crystals.reading import limited
from trainables.crystals.symbols import OCCUPANCY_TOLERANCE, atomic_number
from trainables.crystals.targets import read_target

ALLOWED_MODULES = frozenset(
    f"pymatgen.core.{name}"
    for name in ("structure", "lattice", "sites", "periodic_table", "composition")
)
LARGEST_TEXT = 16 << 20  # characters; a crystal of a thousand atoms needs a few hundred thousand


def parse(entry: Entry) -> Crystal:
    """Crystal of one entry, as its file says: no symmetrising, no primitive cell.

    Physical sense is judged by `checks.check`.

    Raises:
        BadCrystal: the reason in one line.
    """
    if entry.format == "bad":
        raise BadCrystal(entry.text)
    if len(entry.text) > LARGEST_TEXT:
        raise BadCrystal(f"text too large: more than {LARGEST_TEXT >> 20} million characters")
    if not entry.text.strip():
        raise BadCrystal(f"no structure: the {entry.format.upper()} text is empty")
    if entry.format == "json":
        return _from_json(entry.text)
    if entry.format in limited.FORMATS:
        text = entry.text.replace("\r\n", "\n").replace("\r", "\n")
        numbers, frac, lattice = limited.read(entry.format, text)
        return _crystal(numbers, np.array(frac), np.array(lattice))
    raise BadCrystal(f"unknown format: {entry.format!r}; json, cif and poscar are read")


def parse_target(entry: Entry) -> float:
    """The target as a finite float; see `targets.read_target`.

    Raises:
        BadCrystal: it is missing, or no finite number.
    """
    return read_target(entry.target)


def _from_json(text: str) -> Crystal:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadCrystal(f"broken JSON: {one_line(error)}") from None
    if not isinstance(data, dict):
        raise BadCrystal("no structure: the JSON is not an object")
    if not _plainly_harmless(text, data):
        try:
            _refuse_foreign(data)
        except RecursionError:
            raise BadCrystal("broken JSON: nested too deeply") from None
    try:
        lattice = np.array(data["lattice"]["matrix"], dtype=np.float64)
        sites = data["sites"]
        numbers = [_site_number(site, place) for place, site in enumerate(sites)]
        frac = _fractional(sites, lattice)
    except KeyError as error:
        raise BadCrystal(f"no structure: the JSON lacks {error}") from None
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        if isinstance(error, BadCrystal):
            raise
        raise BadCrystal(f"broken structure: {one_line(error)}") from None
    return _crystal(numbers, frac, lattice)


def _plainly_harmless(text: str, data: dict[str, Any]) -> bool:
    # The walk costs as much as the parsing itself; a text with no escapes and a single, allowed
    # module cannot hide another one, and that is what MatBench rows look like.
    if "\\" in text or "@callable" in text or text.count('"@module"') > 1:
        return False
    return '"@module"' not in text or str(data.get("@module")) in ALLOWED_MODULES


def _refuse_foreign(node: object) -> None:
    if isinstance(node, dict):
        if "@callable" in node:
            raise BadCrystal("foreign JSON: '@callable' is refused, only plain structures are read")
        if "@module" in node and str(node["@module"]) not in ALLOWED_MODULES:
            module = one_line(node["@module"], 60)
            raise BadCrystal(f"foreign JSON: module {module!r} is refused and was not imported")
        for value in node.values():
            _refuse_foreign(value)
    elif isinstance(node, list):
        for value in node:
            _refuse_foreign(value)


def _site_number(site: dict[str, Any], place: int) -> int:
    species = site["species"]
    if len(species) != 1:
        raise BadCrystal(f"partial occupancy: site {place + 1} holds {len(species)} species")
    (only,) = species
    occupancy = only.get("occu", 1)
    if not abs(occupancy - 1) <= OCCUPANCY_TOLERANCE:
        raise BadCrystal(f"partial occupancy: site {place + 1} is filled to {occupancy}")
    element = only["element"]
    if not isinstance(element, str):
        raise BadCrystal(f"unknown element: {str(element)[:20]!r} is not among H to Og")
    return atomic_number(element)


def _fractional(sites: list[dict[str, Any]], lattice: np.ndarray) -> np.ndarray:
    if all("abc" in site for site in sites):
        return np.array([site["abc"] for site in sites], dtype=np.float64)
    cartesian = np.array([site["xyz"] for site in sites], dtype=np.float64)
    try:
        return np.linalg.solve(lattice.T, cartesian.T).T
    except np.linalg.LinAlgError:
        raise BadCrystal("zero volume: the cell's vectors lie in one plane") from None


def _crystal(numbers: list[int], frac: np.ndarray, lattice: np.ndarray) -> Crystal:
    if lattice.shape != (3, 3):
        raise BadCrystal(f"broken structure: the lattice has shape {lattice.shape}, not (3, 3)")
    if frac.shape != (len(numbers), 3) and numbers:
        raise BadCrystal(f"broken structure: coordinates have shape {frac.shape}")
    return Crystal(np.array(numbers, dtype=np.uint8), frac.reshape(-1, 3), lattice)
