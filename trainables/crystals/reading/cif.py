"""Reads a CIF's structure as the file states it: no symmetrising, no primitive cell, no guesses."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Element, Lattice

from trainables.crystals.crystal import BadCrystal, Crystal
from trainables.crystals.reading import beyond
from trainables.crystals.reading.cif_syntax import Block, Value, blocks
from trainables.crystals.reading.formula import Formula, formula_of
from trainables.crystals.reading.labels import element
from trainables.crystals.reading.numbers import number
from trainables.crystals.reading.symmetry import unit_cell
from trainables.crystals.reading.unit_cell import Site, composition
from trainables.crystals.symbols import NUMBERS, OCCUPANCY_TOLERANCE, symbol

_AXES = ("x", "y", "z")
_LENGTHS = tuple(f"_cell_length_{axis}" for axis in "abc")
_ANGLES = tuple(f"_cell_angle_{angle}" for angle in ("alpha", "beta", "gamma"))
_SYSTEM = ("_space_group_crystal_system", "_symmetry_cell_setting")
_CELL = (*_LENGTHS, *_ANGLES)
# What a crystal system fixes: a missing parameter is a number, or equal to another one.
_FIXED: dict[str, dict[int, float | str]] = {
    "cubic": {1: _LENGTHS[0], 2: _LENGTHS[0], 3: 90.0, 4: 90.0, 5: 90.0},
    "tetragonal": {1: _LENGTHS[0], 3: 90.0, 4: 90.0, 5: 90.0},
    "hexagonal": {1: _LENGTHS[0], 3: 90.0, 4: 90.0, 5: 120.0},
    "rhombohedral": {1: _LENGTHS[0], 2: _LENGTHS[0], 4: _ANGLES[0], 5: _ANGLES[0]},
    "orthorhombic": {3: 90.0, 4: 90.0, 5: 90.0},
    "monoclinic": {3: 90.0, 5: 90.0},
}
# Coordinates that stand for rounded thirds: (value, tolerance of its share).
_THIRDS = (1 / 3, 2 / 3)
_THIRD_TOLERANCE = 1e-4


@dataclass(frozen=True)
class _Row:
    """One row of the atom list; missing or unknown values are None."""

    label: Value
    type: Value
    places: tuple[Value, Value, Value]
    occupancy: Value
    flag: Value
    hydrogens: Value
    disorder: Value

    @property
    def name(self) -> str:
        return (self.label or self.type or "an atom")[:20]


def read_cif(text: str) -> Crystal:
    """Reads the one structure of a CIF.

    Raises:
        BadCrystal: the reason in one line.
    """
    found = blocks(text)
    structures = [b for b in found if any(b.known(f"_atom_site_fract_{axis}") for axis in _AXES)]
    if not structures:
        raise BadCrystal(_no_structure(found))
    if len(structures) > 1:
        raise BadCrystal(
            f"ambiguous CIF: it holds {len(structures)} structures, one is wanted; split the file"
        )
    (own,) = structures
    block = beyond.with_common_data(own, [other for other in found if other is not own])
    beyond.refuse_modulated(block)
    beyond.refuse_magnetic_names(block)
    formula, lattice = formula_of(block), _lattice(block)
    beyond.refuse_volume(block, lattice)
    rows = _rows(block)
    sites = _sites(rows, formula)
    if not sites:
        raise BadCrystal("no atoms: the CIF's atom list holds none")
    _refuse_attached(rows, formula)
    crystal = unit_cell(block, sites, lattice, formula)
    if formula is not None:
        formula.refuse_others(composition(crystal))
    return crystal


def _no_structure(found: list[Block]) -> str:
    if any(block.values.get("_atom_site_cartn_x") for block in found):
        return (
            "no structure: an mmCIF or other CIF with Cartesian coordinates alone; "
            "add _atom_site_fract_x, _y and _z"
        )
    if any(block.values.get("_atom_site_fract_x") for block in found):
        return "no structure: coordinates missing: the CIF's atom list has none"
    if any(tag in block.values for block in found for tag in _CELL):
        return "no structure: the CIF lacks _atom_site_fract_x"
    return "no structure: not a CIF" if not found else "no structure: the CIF has no atom list"


def _lattice(block: Block) -> NDArray[np.float64]:
    values: list[float] = []
    fixed = _FIXED.get((block.first(*_SYSTEM) or "").lower(), {})
    for at, tag in enumerate(_CELL):
        text = block.first(tag)
        if text is None and at in fixed:
            same = fixed[at]
            text = block.first(same) if isinstance(same, str) else str(same)
        if text is None:
            raise BadCrystal(f"no structure: the CIF lacks {tag}")
        value = number(text)
        if value is None:
            raise BadCrystal(f"no structure: {tag} is {text[:20]!r}, not a number")
        values.append(value)
    if not (min(values[:3]) > 0 and min(values[3:]) > 0 and max(values[3:]) < 180):
        raise BadCrystal("cell too thin: a length is not above 0, or an angle not in 0° to 180°")
    matrix = Lattice.from_parameters(*values).matrix
    if not (np.isfinite(matrix).all() and abs(np.linalg.det(matrix)) > 1e-6):
        raise BadCrystal("cell too thin: the CIF's cell has zero volume, or angles of no cell")
    return matrix


def _rows(block: Block) -> list[_Row]:
    places = [block.column(f"_atom_site_fract_{axis}") for axis in _AXES]
    missing = [axis for axis, column in zip(_AXES, places, strict=True) if column is None]
    if missing:
        raise BadCrystal(f"no structure: the CIF lacks _atom_site_fract_{missing[0]}")
    columns = [column for column in places if column is not None]
    count = len(columns[0])
    names = (
        *("label", "type_symbol", "occupancy", "calc_flag", "attached_hydrogens"),
        "disorder_group",
    )
    others = [block.column(f"_atom_site_{name}") or [None] * count for name in names]
    if any(len(column) != count for column in (*columns, *others)):
        raise BadCrystal("no structure: broken CIF, the atom list's columns differ in length")
    return [
        _Row(label, kind, (x, y, z), *rest)
        for x, y, z, label, kind, *rest in zip(*columns, *others, strict=True)
    ]


def _sites(rows: list[_Row], formula: Formula | None) -> list[Site]:
    """The sites that are atoms, in pymatgen's order: by electronegativity."""
    sites: list[tuple[float, str, Site]] = []
    groups: list[tuple[str, Value]] = []
    for row in rows:
        if _is_dummy(row, formula):
            continue
        kind = element(row.type, row.label, formula)
        if not _is_full(row):
            continue
        groups.append((row.name, row.disorder))
        site = Site(row.name, NUMBERS[kind], _place(row))
        plain = Element(symbol(site.number))
        sites.append((plain.X if plain.X == plain.X else np.inf, plain.symbol, site))
    beyond.refuse_disorder(groups)
    return [site for *_, site in sorted(sites, key=lambda known: known[:2])]


def _is_dummy(row: _Row, formula: Formula | None) -> bool:
    """Whether a row is no atom, as the dictionary defines the flag `dum`.

    Programs also use it for an atom that they could not find. So a row with the name of an element
    is left out only if there is a formula, which is compared later.
    """
    if (row.flag or "").lower() not in ("dum", "dummy"):
        return False
    if formula is None or not formula.readings:
        try:
            element(row.type, row.label, None)
        except BadCrystal:
            return True
        raise BadCrystal(
            f"dummy atom: {row.name!r} is no atom by its flag and one by its name; remove it, or "
            "add _chemical_formula_sum"
        )
    return True


def _is_full(row: _Row) -> bool:
    """Whether a site is occupied; one with occupancy 0 is left out.

    Raises:
        BadCrystal: it is partially occupied.
    """
    if row.occupancy is None:
        return True  # the dictionary's default
    filled = number(row.occupancy)
    if filled is None:
        raise BadCrystal(f"partial occupancy: that of {row.name} is {row.occupancy[:20]!r}")
    if abs(filled - 1) > OCCUPANCY_TOLERANCE and filled != 0:
        raise BadCrystal(f"partial occupancy: site {row.name} is filled to {filled:g}")
    return filled != 0


def _place(row: _Row) -> tuple[float, float, float]:
    values = []
    for text in row.places:
        if text is None:
            raise BadCrystal(f"no structure: coordinates missing: those of {row.name} are unknown")
        value = _fraction(text)
        if value is None:
            if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
                raise BadCrystal("coordinates are not finite: the CIF holds NaN or infinity")
            raise BadCrystal(f"no structure: {text[:20]!r} is no coordinate ({row.name})")
        thirds = (third for third in _THIRDS if abs(value / third - 1) <= _THIRD_TOLERANCE)
        values.append(next(thirds, value))
    return values[0], values[1], values[2]


def _fraction(text: str) -> float | None:
    """Parses a coordinate, `0.25` or `1/4`; None if it is none."""
    match = re.fullmatch(r"([+-]?\d{1,3})/(\d{1,3})", text.strip())
    if match is None:
        return number(text)
    return int(match[1]) / int(match[2]) if int(match[2]) else None


def _refuse_attached(rows: list[_Row], formula: Formula | None) -> None:
    """Refuses hydrogens counted in a row but maybe not listed, unless the formula has them."""
    if formula is not None and formula.readings and formula.has("H"):
        return
    for row in rows:
        if row.hydrogens is not None and number(row.hydrogens) != 0:
            raise BadCrystal(
                f"missing atoms: {row.name} has hydrogens attached that are not in the list; "
                "add them, or _chemical_formula_sum if they are there"
            )
