"""Parses a raw row into a crystal and a number; raises BadCrystal for anything wrong.

JSON is read by hand: no class named in it is ever looked up or imported, so a hostile file is only
data. CIF and POSCAR are read in a process with limits of time and memory.

Shape letters: N atoms of one crystal.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from trainables.crystals.crystal import BadCrystal, Crystal, Entry, one_line
from trainables.crystals.reading import limited
from trainables.crystals.slab_cell import ADD_VACUUM, demand_outer_vacuum
from trainables.crystals.symbols import OCCUPANCY_TOLERANCE, atomic_number
from trainables.crystals.targets import read_target

ALLOWED_MODULES = frozenset(
    f"pymatgen.core.{name}"
    for name in ("structure", "lattice", "sites", "periodic_table", "composition")
)
CLASSES = ("Structure", "IStructure")
# Tolerance between two statements of one place, length (Å) or angle (°), as some writers round.
TOLERANCE = 1e-2
_CELL = ("a", "b", "c", "alpha", "beta", "gamma")
_FACES = ((1, 2), (0, 2), (0, 1))  # the vectors that enclose alpha, beta and gamma
LARGEST_TEXT = 16 << 20  # characters; a crystal of a thousand atoms needs a few hundred thousand


def parse(entry: Entry, *, slab: bool = False) -> Crystal:
    """Parses the crystal of one entry as its file states it: no symmetrising, no primitive cell.

    `checks.check` judges whether it makes physical sense.

    Args:
        slab: whether a structure that is periodic along a and b alone is taken, as periodic along c
            too, if its cell has vacuum there.

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
        return _from_json(entry.text, slab)
    if entry.format in limited.FORMATS:
        text = entry.text.replace("\r\n", "\n").replace("\r", "\n")
        numbers, frac, lattice = limited.read(entry.format, text)
        return _crystal(numbers, np.array(frac), np.array(lattice))
    raise BadCrystal(f"unknown format: {entry.format!r}; json, cif and poscar are read")


def parse_target(entry: Entry) -> float:
    """Parses the target as a finite float; see `targets.read_target`.

    Raises:
        BadCrystal: it is missing, or no finite number.
    """
    return read_target(entry.target)


def _from_json(text: str, slab: bool) -> Crystal:
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
    if data.get("@class", CLASSES[0]) not in CLASSES:
        name = one_line(data["@class"], 60)
        raise BadCrystal(f"no structure: the JSON is a {name!r}; a crystal's is {CLASSES[0]!r}")
    try:
        alone = _stands_alone(data["lattice"], slab)
        lattice = _lattice(data["lattice"])
        if alone and lattice.shape == (3, 3) and not lattice[2].any():
            raise BadCrystal(f"no vacuum: the cell of the slab has no third vector; {ADD_VACUUM}")
        sites = data["sites"]
        numbers = [_site_number(site, place) for place, site in enumerate(sites)]
        frac = _fractional(sites, lattice)
    except KeyError as error:
        raise BadCrystal(f"no structure: the JSON lacks {error}") from None
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        if isinstance(error, BadCrystal):
            raise
        raise BadCrystal(f"broken structure: {one_line(error)}") from None
    crystal = _crystal(numbers, frac, lattice)
    if alone:
        demand_outer_vacuum(crystal)
    return crystal


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


def _stands_alone(lattice: dict[str, Any], slab: bool) -> bool:
    """Whether a slab is not periodic along c.

    Raises:
        BadCrystal: what has to be a crystal, or a slab along a and b, is not periodic.
    """
    periodic = lattice.get("pbc")
    if periodic is None or list(periodic) == [True] * 3:
        return False
    if slab and list(periodic) == [True, True, False]:
        return True
    found = f"not periodic: pbc is {one_line(periodic, 40)}"
    if slab:
        raise BadCrystal(f"{found}; make a slab periodic along a and b, with vacuum along c")
    raise BadCrystal(
        f"{found}; slabs, chains and molecules are no crystals; if it is one, set pbc to true for"
        " a, b and c"
    )


def _lattice(lattice: dict[str, Any]) -> np.ndarray:
    """Cell [3, 3] in Å, checked against the given lengths and angles."""
    matrix = np.array(lattice["matrix"], dtype=np.float64)
    if matrix.shape == (3, 3):
        with np.errstate(all="ignore"):  # what is not finite, or flat, is refused by the checks
            lengths = np.linalg.norm(matrix, axis=1)
            cosines = [matrix[i] @ matrix[j] / (lengths[i] * lengths[j]) for i, j in _FACES]
            angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
        for name, of_matrix in zip(_CELL, [*lengths, *angles], strict=True):
            told = lattice.get(name)
            if told is not None and abs(float(told) - of_matrix) > TOLERANCE:
                raise BadCrystal(
                    f"contradictory JSON: its {name} is {float(told):.4g} and {of_matrix:.4g} by"
                    " the matrix"
                )
    return matrix


def _fractional(sites: list[dict[str, Any]], lattice: np.ndarray) -> np.ndarray:
    """Fractional coordinates [N, 3]; `abc` and `xyz` of a site have to be the same place.

    Raises:
        BadCrystal: they are not, or the cell has no volume.
        KeyError: a site lacks both, or `xyz` where another one lacks `abc`.
    """
    direct = [site for site in sites if site.get("abc") is not None]
    both = [site for site in direct if site.get("xyz") is not None]
    try:
        if both and lattice.shape == (3, 3):
            _demand_one_place(sites, both, lattice)
        if len(direct) == len(sites):
            return np.array([site["abc"] for site in sites], dtype=np.float64)
        cartesian = np.array([site["xyz"] for site in sites], dtype=np.float64)
        return np.linalg.solve(lattice.T, cartesian.T).T
    except np.linalg.LinAlgError:
        raise BadCrystal("zero volume: the cell's vectors lie in one plane") from None


def _demand_one_place(
    sites: list[dict[str, Any]], both: list[dict[str, Any]], lattice: np.ndarray
) -> None:
    abc = np.array([site["abc"] for site in both], dtype=np.float64)
    xyz = np.array([site["xyz"] for site in both], dtype=np.float64)
    with np.errstate(all="ignore"):  # what is not finite is refused by the checks
        apart = abc - np.linalg.solve(lattice.T, xyz.T).T
        distance = np.linalg.norm((apart - np.round(apart)) @ lattice, axis=1)
    if (wrong := np.flatnonzero(distance > TOLERANCE)).size:
        place = sites.index(both[wrong[0]]) + 1
        raise BadCrystal(
            f"contradictory JSON: abc and xyz of site {place} are {distance[wrong[0]]:.2f} Å apart"
        )


def _crystal(numbers: list[int], frac: np.ndarray, lattice: np.ndarray) -> Crystal:
    if lattice.shape != (3, 3):
        raise BadCrystal(f"broken structure: the lattice has shape {lattice.shape}, not (3, 3)")
    if frac.shape != (len(numbers), 3) and numbers:
        raise BadCrystal(f"broken structure: coordinates have shape {frac.shape}")
    return Crystal(np.array(numbers, dtype=np.uint8), frac.reshape(-1, 3), lattice)
